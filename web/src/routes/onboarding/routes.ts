import type { Route } from "../route";

export const routes: readonly Route[] = [
  { path: "/nodes/new", for: "user", areas: ["onboarding", "nodes"], load: () => import("./NewNode.svelte") },
];

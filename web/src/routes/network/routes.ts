import type { Route } from "../route";

export const routes: readonly Route[] = [
  { path: "/network", for: "user", areas: ["network", "overview"], load: () => import("./Network.svelte") },
];

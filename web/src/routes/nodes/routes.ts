import type { Route } from "../route";

export const routes: readonly Route[] = [
  { path: "/nodes", for: "user", areas: ["nodes", "onboarding"], load: () => import("./Nodes.svelte") },
  { path: "/nodes/:id", for: "user", areas: ["nodes", "overview"], load: () => import("./Node.svelte") },
];

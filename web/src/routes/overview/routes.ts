import type { Route } from "../route";

export const routes: readonly Route[] = [
  {
    path: "/",
    for: "user",
    areas: ["overview", "onboarding", "nodes", "network"],
    load: () => import("./Overview.svelte"),
  },
];

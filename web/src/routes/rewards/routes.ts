import type { Route } from "../route";

export const routes: readonly Route[] = [
  { path: "/rewards", for: "user", areas: ["rewards", "earnings"], load: () => import("./Rewards.svelte") },
];

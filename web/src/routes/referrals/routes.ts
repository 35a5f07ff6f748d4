import type { Route } from "../route";

const areas = ["referrals"] as const;

export const routes: readonly Route[] = [
  { path: "/referrals", for: "user", areas, load: () => import("./Referrals.svelte") },
  { path: "/referrals/people", for: "user", areas, load: () => import("./People.svelte") },
  { path: "/referrals/rewards", for: "user", areas, load: () => import("./Rewards.svelte") },
];

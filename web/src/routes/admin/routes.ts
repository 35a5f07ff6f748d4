import type { Route } from "../route";

const areas = ["admin"] as const;

export const routes: readonly Route[] = [
  { path: "/admin", for: "support", areas, load: () => import("./Cluster.svelte") },
  { path: "/admin/people", for: "support", areas, load: () => import("./People.svelte") },
  { path: "/admin/people/:id", for: "support", areas, load: () => import("./Person.svelte") },
  { path: "/admin/nodes/:id", for: "support", areas, load: () => import("./Node.svelte") },
  { path: "/admin/flags", for: "support", areas, load: () => import("./Flags.svelte") },
  { path: "/admin/referrals", for: "support", areas, load: () => import("./Reviews.svelte") },
  { path: "/admin/epochs", for: "support", areas: ["admin", "earnings"], load: () => import("./Epochs.svelte") },
  { path: "/admin/ledger", for: "support", areas, load: () => import("./Ledger.svelte") },
  { path: "/admin/campaigns", for: "support", areas, load: () => import("./Campaigns.svelte") },
  { path: "/admin/broadcasts", for: "support", areas, load: () => import("./Broadcasts.svelte") },
];

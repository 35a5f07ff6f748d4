import type { Route } from "../route";

export const routes: readonly Route[] = [
  { path: "/earnings", for: "user", areas: ["earnings"], load: () => import("./Earnings.svelte") },
  { path: "/earnings/estimate", for: "user", areas: ["earnings", "overview"], load: () => import("./Estimate.svelte") },
  { path: "/earnings/history", for: "user", areas: ["earnings"], load: () => import("./History.svelte") },
  { path: "/earnings/epochs", for: "user", areas: ["earnings"], load: () => import("./Epochs.svelte") },
  { path: "/earnings/epochs/:number", for: "user", areas: ["earnings"], load: () => import("./Epoch.svelte") },
  { path: "/earnings/at/:time", for: "user", areas: ["earnings"], load: () => import("./At.svelte") },
];

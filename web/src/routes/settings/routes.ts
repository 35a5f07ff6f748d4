import type { Route } from "../route";

const areas = ["settings"] as const;

export const routes: readonly Route[] = [
  { path: "/settings", for: "user", areas, load: () => import("./Settings.svelte") },
  { path: "/settings/security", for: "user", areas, load: () => import("./Security.svelte") },
  { path: "/settings/wallet", for: "user", areas, load: () => import("./WalletPage.svelte") },
  { path: "/settings/data", for: "user", areas, load: () => import("./YourData.svelte") },
];

import type { Route } from "../route";

export const routes: readonly Route[] = [
  { path: "/notifications", for: "user", areas: ["notifications"], load: () => import("./Notifications.svelte") },
];

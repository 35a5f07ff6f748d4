import type { Route } from "../route";

const areas = ["entrance"] as const;

export const routes: readonly Route[] = [
  { path: "/login", for: "stranger", areas, load: () => import("./Login.svelte") },
  { path: "/signup", for: "stranger", areas, load: () => import("./Signup.svelte") },
  { path: "/forgot", for: "stranger", areas, load: () => import("./Forgot.svelte") },
  // What the links of mails lead to, whoever is signed in.
  { path: "/verify", for: "anyone", areas, load: () => import("./Verify.svelte") },
  { path: "/reset", for: "anyone", areas, load: () => import("./Reset.svelte") },
  { path: "/confirm-email", for: "anyone", areas, load: () => import("./ConfirmEmail.svelte") },
];

import type { Component } from "svelte";

import type { Live } from "../stores/live.svelte";
import ConfirmEmail from "./ConfirmEmail.svelte";
import Forgot from "./Forgot.svelte";
import Login from "./Login.svelte";
import Overview from "./Overview.svelte";
import Reset from "./Reset.svelte";
import Signup from "./Signup.svelte";
import Verify from "./Verify.svelte";

/** A page for people who are signed in. */
export type Page = Component<{ live: Live }>;

/** The pages by address. */
export const pages: Readonly<Record<string, Page>> = {
  "/": Overview,
};

/** The pages that are of no use once signed in. */
export const entrances: Readonly<Record<string, Component>> = {
  "/login": Login,
  "/signup": Signup,
  "/forgot": Forgot,
};

/** What the links of mails lead to, whoever is signed in. */
export const links: Readonly<Record<string, Component>> = {
  "/verify": Verify,
  "/reset": Reset,
  "/confirm-email": ConfirmEmail,
};

import type { Component } from "svelte";

import type { Live } from "../stores/live.svelte";
import Overview from "./Overview.svelte";

/** A page for people who are signed in. */
export type Page = Component<{ live: Live }>;

/** The pages by address. */
export const pages: Readonly<Record<string, Page>> = {
  "/": Overview,
};

/** The addresses that are of no use once signed in. */
export const ENTRANCES: ReadonlySet<string> = new Set(["/login", "/signup"]);

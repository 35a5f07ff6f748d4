import type { Component } from "svelte";

import type { Params } from "../lib/paths";
import type { Area } from "../messages/areas";
import type { Live } from "../stores/live.svelte";

/** Whom a page is for: those signed in, those who are not, everybody (links of mails), the staff. */
export type Audience = "user" | "stranger" | "anyone" | "support" | "operator";

/** What a page is given. `key` of a route decides whether another address is another page. */
export interface PageProps {
  params: Params;
  live: Live;
}

// A page may use fewer of its properties than it is given.
export type PageComponent = Component<any>;

/** An address and the page it shows. */
export interface Route {
  /** Literal parts and parameters: `/nodes/:id`. */
  path: string;
  for: Audience;
  /** The areas whose texts it needs, besides `shell`. */
  areas: readonly Area[];
  load: () => Promise<{ default: PageComponent }>;
}

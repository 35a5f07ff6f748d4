import { getContext, setContext } from "svelte";

import { Clock } from "../stores/clock.svelte";
import { Commands } from "../stores/commands.svelte";
import { Theme } from "../stores/theme.svelte";
import { Toasts } from "../stores/toasts.svelte";
import { Client } from "./client";
import { type Http, httpClient } from "./http";
import { Router } from "./router.svelte";
import { Session } from "./session.svelte";

/** What every page may need, built once. */
export interface App {
  http: Http;
  session: Session;
  client: Client;
  router: Router;
  clock: Clock;
  theme: Theme;
  toasts: Toasts;
  commands: Commands;
}

const API = "/api/v1";
const CONTEXT = Symbol("app");

export function createApp(fetch: typeof globalThis.fetch = globalThis.fetch.bind(globalThis)): App {
  const http = httpClient(API, fetch);
  const session = new Session(http);
  return {
    http,
    session,
    client: new Client(session),
    router: new Router(),
    clock: new Clock(),
    theme: new Theme(),
    toasts: new Toasts(),
    commands: new Commands(),
  };
}

export function provideApp(app: App): void {
  setContext(CONTEXT, app);
}

export function useApp(): App {
  return getContext<App>(CONTEXT);
}

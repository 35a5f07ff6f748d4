import { getContext, setContext, untrack } from "svelte";

import type { Live } from "../stores/live.svelte";
import { addressOf, type Answered, type Asked, type Reading } from "./endpoint";
import type { Resource } from "./resource.svelte";

const LIVE = Symbol("live");

export function provideLive(live: Live): void {
  setContext(LIVE, live);
}

/** What is live about the person who is signed in. Only pages of people who are. */
export function useLive(): Live {
  return getContext<Live>(LIVE);
}

export interface UseOptions {
  /** Channels whose news mean that it may have changed: "epoch", "node:<id>" … */
  on?: readonly string[] | (() => readonly string[]);
  /** Read it again every so many milliseconds while the page is visible. */
  every?: number;
  /** Show the answer to the question before until the new one is here (a filter, a period). */
  keep?: boolean;
}

/** A resource as a component shows it, whichever address it has at the moment. */
export interface Used<T> {
  readonly data: T | null;
  readonly error: unknown;
  readonly loading: boolean;
  readonly stale: boolean;
  readonly busy: boolean;
  readonly at: number | null;
  refresh(): Promise<void>;
  /** Put what a write answered in its place. */
  put(data: T): void;
}

type Question<E extends Reading> = Pick<Asked<E>, Extract<keyof Asked<E>, "path" | "query">>;

/**
 * What an endpoint answers, for as long as the component lives; call it while the component is made.
 *
 * `question` is asked reactively: what it reads makes another question when it changes; null asks nothing.
 *
 * ```ts
 * const epoch = useResource("GET /earnings/epochs/{number}", () => ({ path: { number } }), { on: ["epoch"] });
 * ```
 */
export function useResource<E extends Reading>(
  endpoint: E,
  question: () => Question<E> | null,
  { on = [], every, keep = false }: UseOptions = {},
): Used<Answered<E>> {
  const live = useLive();
  const address = $derived.by(() => {
    const asked = question();
    return asked === null ? null : addressOf(endpoint, asked);
  });
  const resource: Resource<Answered<E>> | null = $derived(address === null ? null : live.resources.at(address));
  let before: Answered<E> | null = $state.raw(null);

  $effect(() => {
    const current = resource;
    // What a reading goes through is not what it depends on, or each would be followed by another.
    return untrack(() => current?.use());
  });
  $effect(() => {
    const current = resource;
    if (current === null) return;
    const left = (typeof on === "function" ? on() : on).map((channel) => live.on(channel, () => current.news()));
    return () => {
      for (const leave of left) leave();
    };
  });
  $effect(() => {
    const current = resource;
    if (current === null || every === undefined) return;
    const timer = setInterval(() => {
      if (!document.hidden) current.news();
    }, every);
    return () => clearInterval(timer);
  });
  $effect(() => {
    if (keep && resource?.data != null) before = resource.data;
  });

  return {
    get data() {
      return resource?.data ?? (keep ? before : null);
    },
    get error() {
      return resource?.error ?? null;
    },
    get loading() {
      return resource?.loading === true && !(keep && before !== null);
    },
    get stale() {
      return resource?.stale ?? false;
    },
    get busy() {
      return resource?.busy ?? false;
    },
    get at() {
      return resource?.at ?? null;
    },
    async refresh() {
      await resource?.refresh();
    },
    put(data) {
      resource?.put(data);
    },
  };
}

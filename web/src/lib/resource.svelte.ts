import { Backoff } from "./backoff";
import type { Answer } from "./http";
import { Problem, Unreachable } from "./problem";
import { SignedOut } from "./session.svelte";

const BACKOFF_BASE_MS = 1_000;
const BACKOFF_CAP_MS = 30_000;
/** The least time between two readings that news ask for, in milliseconds. */
export const SPACING_MS = 2_000;
/** How many answers are kept for pages that come back to them. */
const KEPT = 100;

/** Reads an address; resolves with `unchanged` when it is still the version `etag`. */
export type Read = <T>(address: string, etag: string | null) => Promise<Answer<T>>;

/**
 * What an address of the API answers, kept: read when first used, again when told that there is
 * news or when it failed (backing off), and never twice at a time.
 *
 * What was read stays while it is read again or cannot be: `data` with `error` is old, and `at` says since when.
 */
export class Resource<T> {
  data: T | null = $state.raw(null);
  /** Why the newest attempt failed; null: it did not. */
  error: unknown = $state.raw(null);
  /** It is being read at this moment. */
  busy = $state(false);
  /** When `data` was last known to be the newest (milliseconds, this machine's clock). */
  at: number | null = $state(null);

  readonly #read: Read;
  readonly #backoff: Backoff;
  #etag: string | null = null;
  #users = 0;
  #again = false;
  #lastStart = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly address: string,
    read: Read,
    random?: () => number,
  ) {
    this.#read = read;
    this.#backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_CAP_MS, random);
  }

  /** Somebody shows it from now on, until they call what this returns. */
  use(): () => void {
    this.#users += 1;
    void this.refresh();
    let used = true;
    return () => {
      if (!used) return;
      used = false;
      this.#users -= 1;
      if (this.#users === 0) this.#wait(undefined);
    };
  }

  /** Read it now; one that is under way is followed by another. Settles when done, whatever came of it. */
  async refresh(): Promise<void> {
    if (this.busy) {
      this.#again = true;
      return;
    }
    this.#wait(undefined);
    this.busy = true;
    this.#lastStart = performance.now();
    try {
      const answer = await this.#read<T>(this.address, this.#etag);
      if (!answer.unchanged) {
        this.data = answer.data;
        this.#etag = answer.etag;
      }
      this.at = Date.now();
      this.error = null;
      this.#backoff.reset();
    } catch (error) {
      this.error = error;
      if (this.#users > 0 && mayPass(error)) this.#wait(Math.max(this.#backoff.next(), askedToWait(error)));
    } finally {
      this.busy = false;
    }
    if (!this.#again) return;
    this.#again = false;
    this.news();
  }

  /** Something happened that may have changed it: it is read soon, and not too often. */
  news(): void {
    if (this.#users === 0) return;
    if (this.busy) this.#again = true;
    else this.#wait(Math.max(0, this.#lastStart + SPACING_MS - performance.now()));
  }

  /** The server can be reached (again): try at once what failed. */
  reachable(): void {
    if (this.error !== null && this.#users > 0) void this.refresh();
  }

  /** Put `data` in its place: a write answered with it. */
  put(data: T): void {
    this.data = data;
    this.#etag = null;
    this.at = Date.now();
    this.error = null;
  }

  // No deriveds: those end with the page that made the resource first, and other pages come back to it.

  /** There is nothing to show yet, and nothing went wrong. */
  get loading(): boolean {
    return this.data === null && this.error === null;
  }

  /** What is shown may no longer hold. */
  get stale(): boolean {
    return this.data !== null && this.error !== null;
  }

  get inUse(): boolean {
    return this.#users > 0;
  }

  #wait(ms: number | undefined): void {
    clearTimeout(this.#timer);
    this.#timer = ms === undefined ? undefined : setTimeout(() => void this.refresh(), ms);
  }
}

/** The resources of one person, by address: two pages that ask for the same show the same. */
export class Resources {
  readonly #made = new Map<string, Resource<unknown>>();

  constructor(
    private readonly read: Read,
    private readonly random?: () => number,
  ) {}

  at<T>(address: string): Resource<T> {
    let found = this.#made.get(address);
    if (found === undefined) {
      found = new Resource(address, this.read, this.random);
      this.#forgetOne();
    }
    this.#made.delete(address); // the newest use is last
    this.#made.set(address, found);
    return found as Resource<T>;
  }

  /** The server can be reached (again). */
  reachable(): void {
    for (const each of this.#made.values()) each.reachable();
  }

  /** Something under this address was changed by a write: `touch("/nodes")`. */
  touch(prefix: string): void {
    for (const [address, each] of this.#made) {
      if (!address.startsWith(prefix)) continue;
      if (each.inUse) void each.refresh();
      else this.#made.delete(address);
    }
  }

  #forgetOne(): void {
    if (this.#made.size < KEPT) return;
    for (const [address, each] of this.#made) {
      if (each.inUse) continue;
      this.#made.delete(address);
      return;
    }
  }
}

function mayPass(error: unknown): boolean {
  if (error instanceof Problem) return error.status >= 500 || error.status === 429 || error.status === 408;
  return error instanceof Unreachable || !(error instanceof SignedOut);
}

function askedToWait(error: unknown): number {
  const seconds = error instanceof Problem ? Number(error.extra.retry_after) : 0;
  return seconds > 0 ? seconds * 1_000 : 0;
}

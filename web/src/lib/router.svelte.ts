/**
 * The page's address, kept behind the `#`: it needs no rule on any server or proxy, and tokens in
 * links (of a mail, say) never reach a log.
 */
export class Router {
  path: string = $state("");
  /** What stands after the `?`: filters, tabs, periods. */
  query: URLSearchParams = $state.raw(new URLSearchParams());
  /** The token that a link of a mail carries; taken out of the address as soon as it is read. */
  token: string | null = $state(null);
  /** Grows with each address that was gone to by a link or by `go`; going back and forth keeps the place. */
  visits = $state(0);

  /** How far down each entry of the history was left (pixels), by its number. */
  readonly #places = new Map<number, number>();
  #entry: number;
  #entries: number;
  #place = 0;

  constructor() {
    history.scrollRestoration = "manual";
    this.#entry = this.#entries = entryOf(history.state) ?? 0;
    this.#mark();
    this.#read();
    addEventListener("hashchange", this.#changed);
    addEventListener("popstate", this.#changed);
  }

  /** Follow the address no more. */
  destroy(): void {
    removeEventListener("hashchange", this.#changed);
    removeEventListener("popstate", this.#changed);
  }

  /** Go to `path`. */
  go(path: string): void {
    this.#leave();
    history.pushState(null, "", href(path));
    this.#enter();
    this.#read();
  }

  /** Go to `path` without leaving the present one in the history. */
  replace(path: string): void {
    history.replaceState(history.state, "", href(path));
    this.#read();
  }

  /** Set parameters of the query in place, without a visit; null and "" take one away. */
  refine(changes: Readonly<Record<string, string | number | null>>): void {
    const next = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === "") next.delete(name);
      else next.set(name, String(value));
    }
    this.replace(next.size > 0 ? `${this.path}?${next}` : this.path);
  }

  /** How far down the page (pixels) it should be shown: where it was left, or its beginning. */
  get place(): number {
    return this.#place;
  }

  #changed = (): void => {
    const known = entryOf(history.state);
    if (known === this.#entry) {
      this.#read();
      return;
    }
    this.#leave();
    if (known === null) {
      this.#enter();
    } else {
      this.#entry = known;
      this.#place = this.#places.get(known) ?? 0;
    }
    this.#read();
  };

  #leave(): void {
    this.#places.set(this.#entry, globalThis.scrollY ?? 0);
  }

  /** The present entry is a new one. */
  #enter(): void {
    this.#entries += 1;
    this.#entry = this.#entries;
    this.#place = 0;
    this.visits += 1;
    this.#mark();
  }

  #mark(): void {
    history.replaceState({ entry: this.#entry }, "", location.href);
  }

  #read(): void {
    const [path = "", search = ""] = location.hash.slice(1).split("?", 2);
    const query = new URLSearchParams(search);
    const token = query.get("token");
    query.delete("token");
    // An address read again, now without its token, is still the same link.
    if (token !== null || path !== this.path) this.token = token;
    this.path = path || "/";
    if (query.toString() !== this.query.toString()) this.query = query;
    if (token === null) return;
    const rest = query.size > 0 ? `?${query}` : "";
    history.replaceState(history.state, "", href(this.path + rest));
  }
}

/** The link to `path`. */
export function href(path: string): string {
  return `#${path}`;
}

function entryOf(state: unknown): number | null {
  const entry = (state as { entry?: unknown } | null)?.entry;
  return typeof entry === "number" ? entry : null;
}

/**
 * The page's address, kept behind the `#`: it needs no rule on any server or proxy, and tokens in
 * links (of a mail, say) never reach a log.
 */
export class Router {
  path: string = $state("");
  /** The token that a link of a mail carries; taken out of the address as soon as it is read. */
  token: string | null = $state(null);

  constructor() {
    this.#read();
    addEventListener("hashchange", this.#read);
  }

  /** Follow the address no more. */
  destroy(): void {
    removeEventListener("hashchange", this.#read);
  }

  /** Go to `path` without leaving the present one in the history. */
  replace(path: string): void {
    history.replaceState(history.state, "", href(path));
    this.path = path;
    this.token = null;
  }

  #read = (): void => {
    const [path = "", query = ""] = location.hash.slice(1).split("?", 2);
    const token = new URLSearchParams(query).get("token");
    // An address read again, now without its token, is still the same link.
    if (token !== null || path !== this.path) this.token = token;
    this.path = path || "/";
    if (token !== null) history.replaceState(history.state, "", href(this.path));
  };
}

/** The link to `path`. */
export function href(path: string): string {
  return `#${path}`;
}

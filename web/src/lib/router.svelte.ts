/**
 * The page's address, kept behind the `#`: it needs no rule on any server or proxy, and tokens in
 * links (of a mail, say) never reach a log.
 */
export class Router {
  path: string = $state(read());

  constructor() {
    addEventListener("hashchange", () => {
      this.path = read();
    });
  }

  /** Go to `path` without leaving the present one in the history. */
  replace(path: string): void {
    history.replaceState(history.state, "", href(path));
    this.path = path;
  }
}

/** The link to `path`. */
export function href(path: string): string {
  return `#${path}`;
}

function read(): string {
  return location.hash.slice(1) || "/";
}

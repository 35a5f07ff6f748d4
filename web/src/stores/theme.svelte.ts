export type ThemeName = "day" | "night";

// theme-first.js reads it before the first paint.
const KEY = "pulseboard.theme";

/** The colours: the system's preference until people choose, which is remembered. */
export class Theme {
  readonly #system = matchMedia("(prefers-color-scheme: dark)");
  #prefersNight = $state(this.#system.matches);
  #chosen: ThemeName | null = $state(chosen());

  readonly current: ThemeName = $derived(this.#chosen ?? (this.#prefersNight ? "night" : "day"));

  constructor() {
    this.#system.addEventListener("change", ({ matches }) => {
      this.#prefersNight = matches;
    });
  }

  /** What people chose; null: the system's preference. */
  get chosen(): ThemeName | null {
    return this.#chosen;
  }

  toggle(): void {
    this.choose(this.current === "night" ? "day" : "night");
  }

  /** Take these colours; null follows the system's preference. */
  choose(next: ThemeName | null): void {
    this.#chosen = next;
    if (next === null) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === null) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      // Storage is denied or full: the choice holds until the page goes.
    }
  }
}

function chosen(): ThemeName | null {
  const theme = document.documentElement.dataset.theme;
  return theme === "day" || theme === "night" ? theme : null;
}

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

  toggle(): void {
    const next = this.current === "night" ? "day" : "night";
    this.#chosen = next;
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Storage is denied or full: the choice holds until the page goes.
    }
  }
}

function chosen(): ThemeName | null {
  const theme = document.documentElement.dataset.theme;
  return theme === "day" || theme === "night" ? theme : null;
}

const HIDDEN_DELAY_MS = 1_000;

/**
 * Gathers values by key and hands the newest of each on, at most once per animation frame.
 *
 * A hidden page has no frames: there a timer does it once a second.
 */
export class FrameBatcher {
  readonly #pending = new Map<string, () => void>();
  #cancel: (() => void) | null = null;

  constructor(private readonly document: Document = globalThis.document) {
    document.addEventListener("visibilitychange", this.#reschedule);
  }

  /** Run `apply` with the next frame, in place of what waits under the same key. */
  put(key: string, apply: () => void): void {
    this.#pending.set(key, apply);
    this.#cancel ??= this.#schedule();
  }

  /** Drop what waits and stop for good. */
  destroy(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#pending.clear();
    this.document.removeEventListener("visibilitychange", this.#reschedule);
  }

  #schedule(): () => void {
    if (this.document.hidden) {
      const timer = setTimeout(this.#flush, HIDDEN_DELAY_MS);
      return () => clearTimeout(timer);
    }
    const frame = requestAnimationFrame(this.#flush);
    return () => cancelAnimationFrame(frame);
  }

  #flush = (): void => {
    this.#cancel = null;
    const due = [...this.#pending.values()];
    this.#pending.clear();
    for (const apply of due) apply();
  };

  #reschedule = (): void => {
    if (this.#cancel === null) return;
    this.#cancel();
    this.#cancel = this.#schedule();
  };
}

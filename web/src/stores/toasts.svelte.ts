/** What a toast says and how urgent it is: `quiet` goes by itself soon, `loud` stays until it is dismissed. */
export interface Toast {
  id: number;
  text: string;
  tone: "plain" | "good" | "bad";
  priority: "quiet" | "normal" | "loud";
  action?: { text: string; path: string };
}

const SHOWN_MS = { quiet: 4_000, normal: 8_000 } as const;
const MOST = 4;

/** Short news at the edge of the page. At most four show; the oldest that is not loud makes room. */
export class Toasts {
  shown: readonly Toast[] = $state.raw([]);

  #count = 0;
  readonly #timers = new Map<number, ReturnType<typeof setTimeout>>();

  /** Say `text`; what is returned dismisses it. */
  show(text: string, options: Partial<Omit<Toast, "id" | "text">> = {}): () => void {
    const id = (this.#count += 1);
    const toast: Toast = { id, text, tone: "plain", priority: "normal", ...options };
    let list = [...this.shown, toast];
    if (list.length > MOST) {
      const spare = list.find(({ priority }) => priority !== "loud") ?? (list[0] as Toast);
      this.#stop(spare.id);
      list = list.filter((each) => each !== spare);
    }
    this.shown = list;
    if (list.includes(toast)) this.#start(toast);
    return () => this.dismiss(id);
  }

  dismiss(id: number): void {
    this.#stop(id);
    this.shown = this.shown.filter((each) => each.id !== id);
  }

  /** Somebody reads (pointer or focus is on them): none goes away. */
  hold(): void {
    for (const { id } of this.shown) this.#stop(id);
  }

  /** They are done reading. */
  resume(): void {
    for (const toast of this.shown) this.#start(toast);
  }

  #start({ id, priority }: Toast): void {
    if (priority === "loud" || this.#timers.has(id)) return;
    this.#timers.set(id, setTimeout(() => this.dismiss(id), SHOWN_MS[priority]));
  }

  #stop(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }
}

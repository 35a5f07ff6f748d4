import { untrack } from "svelte";

/** A page of a list of the API. */
export interface CursorPage<T> {
  items: readonly T[];
  next_cursor: string | null;
}

/**
 * A list that comes in pages: `more` appends the next one.
 *
 * `load` asks for the page after `cursor`; null: the first. An answer that was overtaken by `restart` is dropped.
 */
export class Pages<T> {
  items: readonly T[] = $state.raw([]);
  busy = $state(false);
  error: unknown = $state.raw(null);
  /** All pages are here. */
  complete = $state(false);

  #cursor: string | null = null;
  #generation = 0;

  constructor(private readonly load: (cursor: string | null) => Promise<CursorPage<T>>) {}

  /** The first page is on its way. */
  get loading(): boolean {
    return this.items.length === 0 && !this.complete && this.error === null;
  }

  /** Append the next page, unless there is none or one is on its way. */
  async more(): Promise<void> {
    if (this.busy || this.complete) return;
    await this.#read(this.#cursor, (items) => [...this.items, ...items]);
  }

  /** Begin anew: what is shown stays until the first page is here. */
  async restart(): Promise<void> {
    this.#generation += 1;
    await this.#read(null, (items) => items);
  }

  /** Another list from now on (its filter changed): nothing of the old one is shown. */
  clear(): void {
    this.#generation += 1;
    this.items = [];
    this.#cursor = null;
    this.complete = this.busy = false;
    this.error = null;
    void this.more();
  }

  async #read(cursor: string | null, shown: (items: readonly T[]) => readonly T[]): Promise<void> {
    const generation = this.#generation;
    this.busy = true;
    this.error = null;
    try {
      const page = await this.load(cursor);
      if (generation !== this.#generation) return;
      this.items = shown(page.items);
      this.#cursor = page.next_cursor;
      this.complete = page.next_cursor === null;
    } catch (error) {
      if (generation === this.#generation) this.error = error;
    } finally {
      if (generation === this.#generation) this.busy = false;
    }
  }
}

/** Read the first page of the list that `pages` is, and of each that takes its place; while a component is made. */
export function readFirst<T>(pages: () => Pages<T>): void {
  $effect(() => {
    const list = pages();
    untrack(() => void list.more());
  });
}

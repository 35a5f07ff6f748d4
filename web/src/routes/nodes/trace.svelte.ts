export const SLOT_MS = 5_000;
export const SLOTS = 60;

/** The last minutes of a figure as this page saw it; a slot in which it was not seen, or not measured, is null. */
export class Trace {
  /** Oldest first. */
  values: readonly (number | null)[] = $state.raw(Array.from({ length: SLOTS }, () => null));

  #slot: number | null = null;

  /** It is `now` (milliseconds of a steady clock), and the figure is `value`. */
  see(now: number, value: number | null): void {
    const slot = Math.floor(now / SLOT_MS);
    const steps = Math.min(SLOTS, slot - (this.#slot ?? slot));
    this.#slot = slot;
    if (steps === 0 && (value === null || value === this.values.at(-1))) return;
    const next = [...this.values.slice(steps), ...Array.from({ length: steps }, () => null)];
    if (value !== null) next[SLOTS - 1] = value;
    this.values = next;
  }
}

import type { FrameBatcher } from "../lib/frame";

export const BAR_MS = 5_000;
export const BARS = 60;

/** What was seen of one span of `BAR_MS`: whether anybody watched, and the micro-points gained. */
export interface Bar {
  watched: boolean;
  gain: bigint;
}

const UNWATCHED: Bar = { watched: false, gain: 0n };

/**
 * The last minutes as this page saw them arrive. A span without a live connection was not
 * watched, which is not a gain of 0; what came while away belongs to none.
 */
export class Pulse {
  /** Oldest first. */
  bars: readonly Bar[] = $state.raw(Array.from({ length: BARS }, () => UNWATCHED));
  /** How many gains were seen. */
  beats = $state(0);

  #bars: Bar[] = Array.from({ length: BARS }, () => ({ ...UNWATCHED }));
  #beats = 0;
  #slot: number | null = null;

  constructor(private readonly frames: Pick<FrameBatcher, "put">) {}

  /** It is `now` (milliseconds of a steady clock), and the connection is live. */
  watch(now: number): void {
    const bar = this.#last(now);
    // A bar that was just begun is not watched yet: any other says nothing new.
    if (bar.watched) return;
    bar.watched = true;
    this.#publish();
  }

  /** It is `now`, and there is no connection. */
  miss(now: number): void {
    const slot = this.#slot;
    this.#last(now);
    if (this.#slot !== slot) this.#publish();
  }

  /** `micropoints` arrived just now; a correction downwards is no pulse. */
  gain(now: number, micropoints: bigint): void {
    const bar = this.#last(now);
    bar.watched = true;
    if (micropoints > 0n) {
      bar.gain += micropoints;
      this.#beats += 1;
    }
    this.#publish();
  }

  #last(now: number): Bar {
    const slot = Math.floor(now / BAR_MS);
    const steps = Math.min(BARS, slot - (this.#slot ?? slot));
    for (let step = 0; step < steps; step += 1) {
      this.#bars.shift();
      this.#bars.push({ ...UNWATCHED });
    }
    this.#slot = slot;
    return this.#bars[BARS - 1] as Bar;
  }

  #publish(): void {
    this.frames.put("pulse", () => {
      this.bars = this.#bars.map((bar) => ({ ...bar }));
      this.beats = this.#beats;
    });
  }
}

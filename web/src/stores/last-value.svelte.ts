import type { FrameBatcher } from "../lib/frame";

/**
 * The newest value of a channel: `latest` at once, `current` (reactive) with the next frame.
 *
 * A value with a lesser revision than the one held is old news. With an equal one the later
 * wins: not every change of the state raises the revision (a node that joins does not).
 */
export class LastValue<T extends { revision: number }> {
  current: T | null = $state.raw(null);
  latest: T | null = null;

  constructor(
    private readonly key: string,
    private readonly frames: FrameBatcher,
  ) {}

  /** Take `value` unless it is old; tells whether it was taken. */
  offer(value: T): boolean {
    if (this.latest !== null && value.revision < this.latest.revision) return false;
    this.latest = value;
    this.frames.put(this.key, () => {
      this.current = this.latest;
    });
    return true;
  }
}

/** Exponential back-off with full jitter: each wait is drawn from 0 to a limit that doubles. */
export class Backoff {
  attempt = 0;

  constructor(
    private readonly baseMs: number,
    private readonly capMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** The next wait in milliseconds. */
  next(): number {
    const limit = Math.min(this.capMs, this.baseMs * 2 ** this.attempt);
    this.attempt += 1;
    return this.random() * limit;
  }

  /** Begin anew. */
  reset(): void {
    this.attempt = 0;
  }
}

/** The time, in whole seconds' steps, corrected by the server's clock: this machine's may be wrong. */
export class Clock {
  /** Milliseconds since the epoch by the server's clock, as of the last second's step. */
  now = $state(Date.now());

  #offset = 0;
  readonly #timer = setInterval(() => this.#step(), 1_000);

  /** The server's time was `at` just now. */
  learn(at: string): void {
    const time = Date.parse(at);
    if (Number.isNaN(time)) return;
    this.#offset = time - Date.now();
    this.#step();
  }

  destroy(): void {
    clearInterval(this.#timer);
  }

  #step(): void {
    this.now = Date.now() + this.#offset;
  }
}

import type { NetworkSummary } from "../../lib/protocol";
import type { Live } from "../../stores/live.svelte";
import { Pulse } from "../../stores/pulse.svelte";

const NETWORK = "network";

/** The network's last minutes as this page saw them: a gain is seconds that were confirmed, of all nodes together. */
class Beats {
  readonly pulse: Pulse;
  #last: NetworkSummary | null = null;

  constructor(live: Live) {
    this.pulse = new Pulse({ put: (key, apply) => live.frame(`${NETWORK}.${key}`, apply) });
    live.on(NETWORK, (data, isNews) => this.#came(data as NetworkSummary, isNews));
  }

  #came(next: NetworkSummary, isNews: boolean): void {
    const before = this.#last;
    if (before !== null && next.revision < before.revision) return;
    this.#last = next;
    const now = performance.now();
    // What came while nobody watched belongs to none of the spans.
    if (isNews && before !== null) this.pulse.gain(now, BigInt(Math.max(0, next.confirmed_seconds - before.confirmed_seconds)));
  }
}

const made = new WeakMap<Live, Beats>();

/** The one of this connection: pages that show it show the same. */
export function networkPulse(live: Live): Pulse {
  let found = made.get(live);
  if (found === undefined) made.set(live, (found = new Beats(live)));
  return found.pulse;
}

/** Let its time go on while it shows, also when nothing comes; call it in an effect. */
export function keepTime(live: Live, pulse: Pulse): () => void {
  const timer = setInterval(() => {
    if (live.connection.health === "live") pulse.watch(performance.now());
    else pulse.miss(performance.now());
  }, 1_000);
  return () => clearInterval(timer);
}

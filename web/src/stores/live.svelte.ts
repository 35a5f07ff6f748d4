import { type Client, socketAddress } from "../lib/client";
import { FrameBatcher } from "../lib/frame";
import type { EpochClosed, Event, NetworkSummary, Overview, ServerMessage, Snapshot } from "../lib/protocol";
import { Resources } from "../lib/resource.svelte";
import type { Session } from "../lib/session.svelte";
import { SharedSocket } from "../lib/shared-socket";
import type { SocketState } from "../lib/socket";
import type { Clock } from "./clock.svelte";
import { Connection } from "./connection.svelte";
import { LastValue } from "./last-value.svelte";
import { Pulse } from "./pulse.svelte";

const ME = "me";
const NETWORK = "network";
const EPOCH = "epoch";
/** Channels of which every message counts, not only the newest. */
const STREAMS = [EPOCH, "notifications"];
/** Tabs with another number speak otherwise and do not share their socket with these. */
const DIALECT = 1;

/** Hears of a channel: its data, and whether that is news or what it was on joining. */
export type Listener = (data: unknown, isNews: boolean) => void;

/** Everything live about one person, from `start` to `stop`: the socket and the stores it feeds. */
export class Live {
  readonly connection = new Connection();
  readonly overview: LastValue<Overview>;
  readonly network: LastValue<NetworkSummary>;
  readonly pulse: Pulse;
  /** The epoch that was closed last, once known. */
  epoch: EpochClosed | null = $state.raw(null);
  /** What the API answered this person, by address. */
  readonly resources: Resources;
  /** The server's version, once known. */
  version: string | null = $state(null);

  readonly #client: Client;
  readonly #clock: Clock;
  readonly #frames = new FrameBatcher();
  readonly #socket: SharedSocket;
  readonly #listeners = new Map<string, Set<Listener>>();
  #phase: SocketState["phase"] = "stopped";
  #ticker: ReturnType<typeof setInterval> | undefined;

  constructor(session: Session, client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
    this.overview = new LastValue(ME, this.#frames);
    this.network = new LastValue(NETWORK, this.#frames);
    this.pulse = new Pulse(this.#frames);
    this.resources = new Resources((address, etag) => client.read(address, etag));
    this.#socket = new SharedSocket({
      group: `pulseboard.socket.${DIALECT}.${session.user?.user_id ?? ""}`,
      channels: [ME, NETWORK, EPOCH],
      streams: STREAMS,
      endpoint: () => this.#endpoint(),
      token: () => session.token(),
      renew: () => session.renew(),
      onMessage: (message) => this.#receive(message),
      onState: (state) => this.#entered(state),
      onSignedOut: () => session.end(),
    });
  }

  start(): void {
    this.#socket.start();
    // The first figures without waiting for the socket; when this fails the socket brings them.
    void this.#client.overview().then((data) => this.overview.offer(data), ignore);
    void this.#client.network().then((data) => this.network.offer(data), ignore);
    this.connection.network(navigator.onLine);
    this.#ticker = setInterval(() => this.#tick(), 1_000);
    addEventListener("online", this.#networkChanged);
    addEventListener("offline", this.#networkChanged);
    document.addEventListener("visibilitychange", this.#shown);
  }

  stop(): void {
    removeEventListener("online", this.#networkChanged);
    removeEventListener("offline", this.#networkChanged);
    document.removeEventListener("visibilitychange", this.#shown);
    clearInterval(this.#ticker);
    this.#socket.stop();
    this.#frames.destroy();
  }

  /**
   * Hear of `channel`, joining it if need be, until what is returned is called. Messages come with the
   * next frame: of a stream all of them, of another channel the newest.
   */
  on(channel: string, listen: Listener): () => void {
    const known = this.#listeners.get(channel) ?? new Set<Listener>();
    this.#listeners.set(channel, known.add(listen));
    this.#socket.want(this.#listeners.keys());
    return () => {
      known.delete(listen);
      if (known.size === 0 && this.#listeners.delete(channel)) this.#socket.want(this.#listeners.keys());
    };
  }

  /** Run `apply` with the next frame, in place of what waits under the same key. */
  frame(key: string, apply: () => void): void {
    this.#frames.put(key, apply);
  }

  /** People want to see it try: now, also after a final close. */
  retry(): void {
    this.#socket.nudge();
    this.#socket.start();
  }

  async #endpoint(): Promise<string> {
    const info = await this.#client.info();
    this.version = info.version;
    return socketAddress(info, location);
  }

  #receive(message: ServerMessage): void {
    this.connection.heardAt = Date.now();
    if (message.type === "welcome" || message.type === "pong") this.#clock.learn(message.server_time);
    if (message.type !== "snapshot" && message.type !== "event") return;
    if (message.channel === ME) this.#overviewCame(message.data as Overview, message.type === "event");
    if (message.channel === NETWORK) this.network.offer(message.data as NetworkSummary);
    if (message.channel === EPOCH) this.#epochCame(message.data as EpochClosed | null);
    this.#publish(message);
  }

  #publish({ type, channel, offset, data }: Snapshot | Event): void {
    const listeners = this.#listeners.get(channel);
    if (listeners === undefined) return;
    const key = STREAMS.includes(channel) ? `${channel}.${offset}` : channel;
    this.#frames.put(`listeners.${key}`, () => {
      for (const listen of [...listeners]) listen(data, type === "event");
    });
  }

  #epochCame(closed: EpochClosed | null): void {
    if (closed === null) return;
    this.#frames.put(EPOCH, () => {
      if (this.epoch === null || closed.number >= this.epoch.number) this.epoch = closed;
    });
  }

  #overviewCame(next: Overview, isNews: boolean): void {
    const before = this.overview.latest;
    if (!this.overview.offer(next) || !isNews || before === null) return;
    this.pulse.gain(performance.now(), earned(next) - earned(before));
  }

  #entered(state: SocketState): void {
    if (state.phase === "live" && this.#phase !== "live") this.resources.reachable();
    this.#phase = state.phase;
    this.connection.socket(state);
  }

  #tick(): void {
    if (this.#phase === "live") this.pulse.watch(performance.now());
    else this.pulse.miss(performance.now());
  }

  #networkChanged = (): void => {
    this.connection.network(navigator.onLine);
    this.#socket.nudge();
  };

  #shown = (): void => {
    if (!document.hidden) this.#socket.nudge();
  };
}

/** All that was earned: what is booked and what accrues, so that a close is no loss. */
function earned(overview: Overview): bigint {
  return BigInt(overview.balance) + BigInt(overview.accruing?.amount ?? 0);
}

function ignore(): void {}

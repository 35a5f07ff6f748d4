import { Backoff } from "./backoff";
import {
  BEARER_PREFIX,
  type ClientMessage,
  CloseCode,
  FIRST_FINAL_CODE,
  JSON_SUBPROTOCOL,
  type ServerMessage,
} from "./protocol";
import { SignedOut } from "./session.svelte";

/** Every how many milliseconds a quiet connection is tried, and how long an answer may take. */
export const PING_MS = 20_000;
export const PONG_MS = 10_000;
/** How long connecting may take, up to the last channel joined. */
export const CONNECT_MS = 10_000;
/** After how long a channel that a busy server refused is asked for again. */
export const REJOIN_MS = 1_500;
/** The least time between two renewals that the server asks for: its tokens may be short-lived. */
export const RENEWAL_SPACING_MS = 5_000;
/** A connection that held this long was a good one: back-off and renewals begin anew. */
export const STEADY_MS = 10_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;

/** Codes that a fresh access token may heal. */
const RENEWABLE = new Set<number>([CloseCode.UNAUTHENTICATED, CloseCode.AUTH_TIMEOUT, CloseCode.REVOKED]);

/** Codes of a refusal that passes. */
const BUSY = new Set(["busy", "unavailable", "timeout"]);

/**
 * Where the client stands: on its way (`attempt` failed before it), live in all its channels,
 * waiting for the next attempt, or stopped, by `stop()` or for good by a final close `code`.
 */
export type SocketState =
  | { phase: "connecting"; attempt: number }
  | { phase: "live" }
  | { phase: "waiting"; attempt: number }
  | { phase: "stopped"; code: number | null };

/** How far a channel was followed: `offset` counts within `epoch`. */
export interface Position {
  offset: number;
  epoch: string;
}

export interface SocketOptions {
  /** The channels that must be joined before the connection counts as live. */
  channels: readonly string[];
  /**
   * Those of all channels that are streams: after a break they go on where they were left, if the
   * server can. The others' newest value is asked for whole: it may change without its offset.
   */
  streams?: readonly string[];
  /** Where the streams were left, by name; kept up to date here. */
  positions?: Map<string, Position>;
  /** Where to connect; asked before every attempt. */
  endpoint(): Promise<string>;
  /** An access token that is good for a while. Rejects with `SignedOut` when there is none to get. */
  token(): Promise<string>;
  /** A new access token, whatever the present one. Rejects with `SignedOut` likewise. */
  renew(): Promise<string>;
  onMessage(message: ServerMessage): void;
  onState(state: SocketState): void;
  /** The session is over: the server takes none of its tokens. */
  onSignedOut(): void;
  random?: () => number;
  open?: (url: string, protocols: string[]) => WebSocket;
}

/**
 * One WebSocket that is kept: connects, subscribes, pings, renews its token and comes back.
 *
 * Close codes from 4500 on are final, but for those that a fresh token may heal, once. All else
 * comes back after an exponential back-off with full jitter, or when the server's notice says.
 */
export class LiveSocket {
  readonly #options: SocketOptions;
  readonly #backoff: Backoff;
  #socket: WebSocket | null = null;
  #state: SocketState = { phase: "stopped", code: null };
  // Grows with every attempt and every stop: what an older one still awaits is void.
  #generation = 0;
  #renewed = false;
  #renewalAt = -Infinity;
  // The channels asked for and not joined yet.
  readonly #joining = new Set<string>();
  // Further channels, joined one after the other once live: a refusal does not say which it means.
  #further: ReadonlySet<string> = new Set();
  readonly #held = new Set<string>();
  readonly #shutOut = new Set<string>();
  #asking: string | null = null;
  readonly #positions: Map<string, Position>;
  #connectTimer: Timer;
  #retryTimer: Timer;
  #rejoinTimer: Timer;
  #renewTimer: Timer;
  #pingTimer: Timer;
  #pongTimer: Timer;
  #steadyTimer: Timer;

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#positions = options.positions ?? new Map<string, Position>();
    this.#backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_CAP_MS, options.random);
  }

  get state(): SocketState {
    return this.#state;
  }

  /** Connect and stay connected. */
  start(): void {
    if (this.#state.phase !== "stopped") return;
    this.#backoff.reset();
    this.#renewed = false;
    void this.#connect();
  }

  /** Leave and stay away. */
  stop(): void {
    this.#stop(null);
  }

  /** Do not wait for the next attempt, or find out at once whether the connection still is one. */
  nudge(): void {
    if (this.#state.phase === "waiting") void this.#connect();
    else if (this.#state.phase === "live") this.#ping();
  }

  /** Follow these channels besides, and no others. One that the server refuses is left out. */
  want(channels: Iterable<string>): void {
    this.#further = new Set([...channels].filter((each) => !this.#options.channels.includes(each)));
    for (const channel of [...this.#held, ...this.#shutOut]) {
      if (this.#further.has(channel)) continue;
      this.#shutOut.delete(channel);
      this.#positions.delete(channel);
      if (this.#held.delete(channel)) this.#send({ type: "unsubscribe", channel });
    }
    this.#joinFurther();
  }

  async #connect(): Promise<void> {
    this.#drop();
    const generation = this.#generation;
    this.#enter({ phase: "connecting", attempt: this.#backoff.attempt });
    let url: string;
    let token: string;
    try {
      [url, token] = await Promise.all([this.#options.endpoint(), this.#options.token()]);
    } catch (error) {
      if (generation === this.#generation) this.#refused(error);
      return;
    }
    if (generation !== this.#generation) return;
    this.#connectTimer = setTimeout(this.#retry, CONNECT_MS);
    let socket: WebSocket;
    try {
      const open = this.#options.open ?? ((address, protocols) => new WebSocket(address, protocols));
      socket = open(url, [JSON_SUBPROTOCOL, BEARER_PREFIX + token]);
    } catch {
      this.#retry(); // an address that the browser refuses
      return;
    }
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#closed(code);
  }

  #receive(data: unknown): void {
    const message = decode(data);
    if (message === null) {
      this.#retry(); // not our protocol: a proxy's, or a broken server's
      return;
    }
    clearTimeout(this.#pongTimer);
    this.#pongTimer = undefined;
    switch (message.type) {
      case "welcome":
        this.#welcome();
        break;
      case "subscribed":
        if (this.#options.streams?.includes(message.channel)) {
          this.#positions.set(message.channel, { offset: message.offset, epoch: message.epoch });
        }
        this.#joined(message.channel);
        break;
      case "snapshot":
      case "event":
        this.#moved(message.channel, message.offset);
        break;
      case "error":
        if (this.#joining.size > 0) this.#joinLater();
        else if (message.id === undefined) this.#furtherRefused(message.code);
        break;
      case "token_expiring":
        this.#reauthenticateSoon();
        break;
      case "reconnect":
        this.#comeBack(message.after_ms);
        return;
    }
    this.#options.onMessage(message);
  }

  #welcome(): void {
    if (this.#pingTimer !== undefined) return; // the answer to a renewed token
    this.#pingTimer = setInterval(() => this.#ping(), PING_MS);
    for (const channel of this.#options.channels) this.#joining.add(channel);
    this.#join();
  }

  #join(): void {
    for (const channel of this.#joining) this.#subscribe(channel);
  }

  #subscribe(channel: string): void {
    this.#send({ type: "subscribe", channel, ...this.#positions.get(channel) });
  }

  #moved(channel: string, offset: number): void {
    const position = this.#positions.get(channel);
    if (position !== undefined) position.offset = offset;
  }

  #joinFurther(): void {
    if (this.#asking !== null || this.#state.phase !== "live") return;
    for (const channel of this.#further) {
      if (this.#held.has(channel) || this.#shutOut.has(channel)) continue;
      this.#asking = channel;
      this.#subscribe(channel);
      return;
    }
  }

  #furtherRefused(code: string): void {
    const channel = this.#asking;
    if (channel === null) return;
    this.#asking = null;
    if (BUSY.has(code)) {
      clearTimeout(this.#rejoinTimer);
      this.#rejoinTimer = setTimeout(() => this.#joinFurther(), REJOIN_MS);
      return;
    }
    this.#shutOut.add(channel);
    this.#joinFurther();
  }

  #joinLater(): void {
    clearTimeout(this.#rejoinTimer);
    this.#rejoinTimer = setTimeout(() => this.#join(), REJOIN_MS);
  }

  #joined(channel: string): void {
    if (channel === this.#asking) {
      this.#asking = null;
      this.#held.add(channel);
      // Nobody may want it any more by now.
      if (this.#further.has(channel)) this.#joinFurther();
      else this.want(this.#further);
      return;
    }
    if (!this.#joining.delete(channel) || this.#joining.size > 0) return;
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#rejoinTimer);
    this.#steadyTimer = setTimeout(() => {
      this.#backoff.reset();
      this.#renewed = false;
    }, STEADY_MS);
    this.#enter({ phase: "live" });
    this.#joinFurther();
  }

  #ping(): void {
    if (this.#pongTimer !== undefined) return;
    this.#pongTimer = setTimeout(this.#retry, PONG_MS);
    this.#send({ type: "ping" });
  }

  #reauthenticateSoon(): void {
    clearTimeout(this.#renewTimer);
    const wait = Math.max(0, this.#renewalAt + RENEWAL_SPACING_MS - performance.now());
    this.#renewTimer = setTimeout(() => void this.#reauthenticate(), wait);
  }

  async #reauthenticate(): Promise<void> {
    this.#renewalAt = performance.now();
    const generation = this.#generation;
    try {
      const token = await this.#options.renew();
      if (generation === this.#generation) this.#send({ type: "auth", token });
    } catch (error) {
      // Out of reach: the server closes when the token ends, and the way back asks again.
      if (generation === this.#generation && error instanceof SignedOut) this.#refused(error);
    }
  }

  #closed(code: number): void {
    if (RENEWABLE.has(code)) void this.#heal(code);
    else if (code >= FIRST_FINAL_CODE && code < 5000) this.#stop(code);
    else this.#retry();
  }

  async #heal(code: number): Promise<void> {
    if (this.#renewed) {
      this.#stop(code);
      this.#options.onSignedOut();
      return;
    }
    this.#renewed = true;
    this.#drop();
    const generation = this.#generation;
    this.#enter({ phase: "connecting", attempt: this.#backoff.attempt });
    try {
      await this.#options.renew();
      if (generation === this.#generation) await this.#connect();
    } catch (error) {
      if (generation === this.#generation) this.#refused(error);
    }
  }

  #refused(error: unknown): void {
    if (error instanceof SignedOut) {
      this.#stop(CloseCode.UNAUTHENTICATED);
      this.#options.onSignedOut();
    } else {
      this.#retry();
    }
  }

  #retry = (): void => {
    const delay = this.#backoff.next();
    this.#comeBack(delay);
  };

  #comeBack(delay: number): void {
    this.#drop();
    this.#retryTimer = setTimeout(() => void this.#connect(), delay);
    this.#enter({ phase: "waiting", attempt: this.#backoff.attempt });
  }

  #stop(code: number | null): void {
    this.#drop();
    this.#enter({ phase: "stopped", code });
  }

  #drop(): void {
    this.#generation += 1;
    clearTimeout(this.#connectTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#rejoinTimer);
    clearTimeout(this.#renewTimer);
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    clearTimeout(this.#steadyTimer);
    this.#pingTimer = this.#pongTimer = undefined;
    this.#joining.clear();
    this.#held.clear();
    this.#shutOut.clear();
    this.#asking = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(CloseCode.NORMAL);
  }

  #send(message: ClientMessage): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #enter(state: SocketState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

type Timer = ReturnType<typeof setTimeout> | undefined;

function decode(data: unknown): ServerMessage | null {
  if (typeof data !== "string") return null;
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === "object" && message !== null && "type" in message
      ? (message as ServerMessage)
      : null;
  } catch {
    return null;
  }
}

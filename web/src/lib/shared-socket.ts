import type { ServerMessage } from "./protocol";
import { LiveSocket, type Position, type SocketOptions, type SocketState } from "./socket";

/** How long the tab that leads may take to answer before another takes its place, in milliseconds. */
export const SILENCE_MS = 4_000;
/** Every how many milliseconds a visible tab makes sure that the one that leads is alive. */
export const CHECK_MS = 20_000;

/** What tabs tell each other; `tab` is who speaks, or in "newest" who is spoken to. */
type Note =
  | { kind: "lead" }
  | { kind: "hello"; tab: string; channels: readonly string[]; nudge: boolean }
  | { kind: "retry" }
  | { kind: "state"; state: SocketState }
  | { kind: "message"; message: ServerMessage }
  | { kind: "newest"; tab: string; state: SocketState; messages: readonly ServerMessage[] };

/** What a browser offers to tabs that share something. */
export interface Browser {
  locks: Pick<LockManager, "request">;
  channel(name: string): BroadcastChannel;
  hidden(): boolean;
}

/** This browser, if it offers that: Web Locks need a secure context. */
export function thisBrowser(): Browser | null {
  const locks = globalThis.navigator?.locks as LockManager | null | undefined;
  if (locks == null || !("BroadcastChannel" in globalThis)) return null;
  return { locks, channel: (name) => new BroadcastChannel(name), hidden: () => document.hidden };
}

export interface SharedOptions extends SocketOptions {
  /** What the tabs that share have in common: whose socket it is, and what they speak. */
  group: string;
  browser?: Browser | null;
}

/**
 * One socket for all tabs of a browser, to each of which it looks like its own `LiveSocket`.
 *
 * The tab that holds a Web Lock leads: it has the socket and passes on, by a BroadcastChannel, what comes and
 * how it is. When it closes, the lock goes to the next, which goes on where its channels stood. One that is
 * frozen holds the lock but gives no answer; a visible tab then takes the lock from it. Without locks (a page
 * that came without TLS from another machine) each tab has a socket of its own.
 *
 * It is no SharedWorker because Chrome for Android has none, because the worker would need the
 * session's tokens, and because one that hangs cannot be replaced.
 */
export class SharedSocket {
  readonly #options: SharedOptions;
  readonly #browser: Browser | null;
  readonly #tab = crypto.getRandomValues(new Uint32Array(4)).join("-");
  readonly #positions = new Map<string, Position>();
  #wanted: ReadonlySet<string> = new Set();
  #state: SocketState = { phase: "stopped", code: null };
  #running = false;

  // As the one that leads.
  #socket: LiveSocket | null = null;
  #release: (() => void) | null = null;
  readonly #others = new Map<string, readonly string[]>();
  readonly #newest = new Map<string, ServerMessage[]>();

  // As one that follows.
  #channel: BroadcastChannel | null = null;
  #queue: AbortController | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #check: ReturnType<typeof setInterval> | undefined;
  #goodbye: (() => void) | null = null;

  constructor(options: SharedOptions) {
    this.#options = options;
    this.#browser = options.browser === undefined ? thisBrowser() : options.browser;
  }

  get state(): SocketState {
    return this.#state;
  }

  /** This tab has the socket. */
  get leads(): boolean {
    return this.#socket !== null;
  }

  /** Connect, or have the tab that leads connect, also after a final close. */
  start(): void {
    if (!this.#running) this.#begin();
    else if (this.#socket !== null) this.#socket.start();
    else this.#tell({ kind: "retry" });
  }

  /** Leave and stay away. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    clearInterval(this.#check);
    clearTimeout(this.#silence);
    this.#queue?.abort();
    this.#resign();
    this.#goodbye?.();
    this.#channel?.close();
    this.#channel = this.#queue = this.#goodbye = null;
    this.#enter({ phase: "stopped", code: null });
  }

  /** Do not wait for the next attempt, or find out at once whether the connection still is one. */
  nudge(): void {
    if (this.#socket !== null) this.#socket.nudge();
    else if (this.#running) this.#greet(true);
  }

  /** Follow these channels besides. */
  want(channels: Iterable<string>): void {
    this.#wanted = new Set(channels);
    if (this.#socket !== null) this.#gather();
    else if (this.#running) this.#greet(false);
  }

  #begin(): void {
    this.#running = true;
    const browser = this.#browser;
    if (browser === null) {
      this.#lead();
      return;
    }
    const channel = browser.channel(this.#options.group);
    channel.onmessage = ({ data }: MessageEvent<Note>) => this.#hear(data);
    this.#channel = channel;
    this.#hold(this.#lifeOf(this.#tab), (release) => {
      this.#goodbye = release;
      if (!this.#running) release();
    });
    this.#enter({ phase: "connecting", attempt: 0 });
    this.#stand();
    this.#greet(false);
    this.#check = setInterval(() => {
      if (this.#socket === null && !browser.hidden()) this.#greet(false);
    }, CHECK_MS);
  }

  // --- who leads ---

  /** Wait for the lock; with `steal` take it. Whoever loses it follows again. */
  #stand(steal = false): void {
    const browser = this.#browser as Browser;
    this.#queue?.abort();
    const queue = (this.#queue = new AbortController());
    const options: LockOptions = steal ? { steal } : { signal: queue.signal };
    const held = browser.locks.request(this.#options.group, options, () => {
      if (!this.#running || this.#queue !== queue) return;
      return new Promise<void>((release) => {
        this.#release = release;
        this.#lead();
        this.#tell({ kind: "lead" });
      });
    });
    held.then(
      () => undefined,
      () => {
        // Aborted by ourselves, or the lock was taken from us while this tab was frozen.
        if (!this.#running || this.#queue !== queue) return;
        this.#resign();
        this.#stand();
        this.#greet(false);
      },
    );
  }

  #lead(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#socket = new LiveSocket({
      ...this.#options,
      positions: this.#positions,
      onMessage: (message) => this.#came(message),
      onState: (state) => {
        if (this.#socket === null) return;
        this.#enter(state);
        this.#tell({ kind: "state", state });
      },
    });
    this.#gather();
    this.#socket.start();
  }

  #resign(): void {
    const socket = this.#socket;
    this.#socket = null; // before it stops: that is no news
    socket?.stop();
    this.#others.clear();
    this.#newest.clear();
    this.#release?.();
    this.#release = null;
  }

  #came(message: ServerMessage): void {
    this.#remember(message);
    this.#tell({ kind: "message", message });
    this.#options.onMessage(message);
  }

  /** The newest of each channel, for tabs that come later. */
  #remember(message: ServerMessage): void {
    if (message.type === "subscribed") {
      const state = this.#newest.get(message.channel)?.filter(({ type }) => type === "snapshot") ?? [];
      this.#newest.set(message.channel, [message, ...state]);
    } else if (message.type === "snapshot" || message.type === "event") {
      const joined = this.#newest.get(message.channel)?.filter(({ type }) => type === "subscribed") ?? [];
      this.#newest.set(message.channel, [...joined, { ...message, type: "snapshot" }]);
    }
  }

  #gather(): void {
    this.#socket?.want([...this.#wanted, ...[...this.#others.values()].flat()]);
  }

  #greeted(tab: string, channels: readonly string[], nudge: boolean): void {
    const known = this.#others.has(tab);
    this.#others.set(tab, channels);
    this.#gather();
    if (nudge) this.#socket?.nudge();
    const messages = [...this.#newest].flatMap(([name, newest]) =>
      this.#options.channels.includes(name) || channels.includes(name) ? newest : [],
    );
    this.#tell({ kind: "newest", tab, state: this.#state, messages });
    if (known) return;
    // A tab holds a lock for as long as it lives.
    this.#hold(this.#lifeOf(tab), (release) => {
      release();
      if (this.#others.delete(tab)) this.#gather();
    });
  }

  // --- following ---

  #greet(nudge: boolean): void {
    if (this.#socket !== null || this.#channel === null) return;
    this.#tell({ kind: "hello", tab: this.#tab, channels: [...this.#wanted], nudge });
    this.#silence ??= setTimeout(() => {
      this.#silence = undefined;
      // A tab that nobody sees can wait until the lock comes to it.
      if (this.#running && this.#socket === null && !(this.#browser as Browser).hidden()) this.#stand(true);
    }, SILENCE_MS);
  }

  #hear(note: Note): void {
    if (!this.#running) return;
    if (this.#socket !== null) {
      if (note.kind === "hello") this.#greeted(note.tab, note.channels, note.nudge);
      else if (note.kind === "retry") this.#socket.start();
      return;
    }
    switch (note.kind) {
      case "lead":
        this.#greet(false);
        break;
      case "state":
        this.#alive();
        this.#enter(note.state);
        break;
      case "message":
        this.#alive();
        this.#take(note.message);
        break;
      case "newest":
        this.#alive();
        if (note.tab !== this.#tab) break;
        this.#enter(note.state);
        for (const message of note.messages) this.#take(message);
        break;
    }
  }

  #alive(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #take(message: ServerMessage): void {
    if (message.type === "subscribed" && this.#options.streams?.includes(message.channel)) {
      this.#positions.set(message.channel, { offset: message.offset, epoch: message.epoch });
    } else if (message.type === "snapshot" || message.type === "event") {
      const position = this.#positions.get(message.channel);
      if (position !== undefined) position.offset = message.offset;
    }
    this.#options.onMessage(message);
  }

  #tell(note: Note): void {
    this.#channel?.postMessage(note);
  }

  #lifeOf(tab: string): string {
    return `${this.#options.group}.tab.${tab}`;
  }

  #hold(name: string, granted: (release: () => void) => void): void {
    void this.#browser?.locks.request(name, () => new Promise<void>((release) => granted(release)));
  }

  #enter(state: SocketState): void {
    this.#state = state;
    this.#options.onState(state);
  }
}

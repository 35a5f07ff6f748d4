import { JSON_SUBPROTOCOL, type ClientMessage, type ServerMessage } from "../lib/protocol";

/** A WebSocket whose other end is the test. */
export class FakeSocket {
  static readonly opened: FakeSocket[] = [];

  readyState = 0;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: ClientMessage[] = [];
  closedWith: number | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.opened.push(this);
  }

  static open = (url: string, protocols: string[]): WebSocket =>
    new FakeSocket(url, protocols) as unknown as WebSocket;

  static get last(): FakeSocket {
    const socket = FakeSocket.opened.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }

  get token(): string | undefined {
    return this.protocols.find((entry) => entry !== JSON_SUBPROTOCOL)?.replace("bearer.", "");
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientMessage);
  }

  close(code: number): void {
    this.readyState = 3;
    this.closedWith = code;
  }

  // --- the other end ---

  say(message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  welcome(): void {
    this.readyState = 1;
    this.say({
      type: "welcome",
      session: "0192d3a0-0000-7000-8000-000000000001",
      worker: "worker-1",
      server_time: new Date().toISOString(),
      ping_interval: 25,
      token_expires: new Date(Date.now() + 600_000).toISOString(),
      limits: { message_bytes: 65_536, subscriptions: 32 },
    });
  }

  /** Let the client into the channels it asked for. */
  join(): void {
    for (const message of this.sent) {
      if (message.type !== "subscribe") continue;
      this.say({ type: "subscribed", channel: message.channel, offset: 0, epoch: "e", recovered: false });
    }
  }

  hangUp(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

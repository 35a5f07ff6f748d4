import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { FakeSocket } from "../testing/fake-socket";
import { Unreachable } from "./problem";
import { CloseCode, type ServerMessage } from "./protocol";
import { SignedOut } from "./session.svelte";
import { CONNECT_MS, LiveSocket, PING_MS, PONG_MS, REJOIN_MS, RENEWAL_SPACING_MS, type SocketState, STEADY_MS } from "./socket";

let states: SocketState[];
let messages: ServerMessage[];
let signedOut: number;
let renewals: number;
let renew: () => Promise<string>;
let endpoint: () => Promise<string>;
let socket: LiveSocket;

/** Half of every back-off: 250 ms, 500 ms, 1 s … */
const HALF = 0.5;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened.length = 0;
  states = [];
  messages = [];
  signedOut = 0;
  renewals = 0;
  renew = () => Promise.resolve(`token-${++renewals}`);
  endpoint = () => Promise.resolve("ws://host:8081/ws");
  socket = new LiveSocket({
    channels: ["me", "network"],
    endpoint: () => endpoint(),
    token: () => Promise.resolve(`token-${renewals}`),
    renew: () => renew(),
    onMessage: (message) => messages.push(message),
    onState: (state) => states.push(state),
    onSignedOut: () => (signedOut += 1),
    random: () => HALF,
    open: FakeSocket.open,
  });
});

afterEach(() => {
  socket.stop();
  vi.useRealTimers();
});

async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

async function connected(): Promise<FakeSocket> {
  socket.start();
  await settle();
  FakeSocket.last.welcome();
  FakeSocket.last.join();
  return FakeSocket.last;
}

describe("connecting", () => {
  it("offers the protocol and the token, and subscribes after the welcome only", async () => {
    socket.start();
    await settle();
    const peer = FakeSocket.last;
    expect(peer.url).toBe("ws://host:8081/ws");
    expect(peer.protocols).toEqual(["pulseboard.v1.json", "bearer.token-0"]);
    expect(peer.sent).toEqual([]);
    expect(socket.state.phase).toBe("connecting");
    peer.welcome();
    expect(peer.sent).toEqual([
      { type: "subscribe", channel: "me" },
      { type: "subscribe", channel: "network" },
    ]);
  });

  it("is live once it has joined every channel", async () => {
    socket.start();
    await settle();
    const peer = FakeSocket.last;
    peer.welcome();
    peer.say({ type: "subscribed", channel: "me", offset: 1, epoch: "e", recovered: false });
    expect(socket.state.phase).toBe("connecting");
    peer.say({ type: "subscribed", channel: "network", offset: 1, epoch: "e", recovered: false });
    expect(socket.state.phase).toBe("live");
    await settle(CONNECT_MS);
    expect(socket.state.phase).toBe("live");
  });

  it("asks again for the channel that a busy server refused", async () => {
    socket.start();
    await settle();
    const peer = FakeSocket.last;
    peer.welcome();
    peer.say({ type: "error", code: "busy", detail: "Try again." });
    peer.say({ type: "subscribed", channel: "network", offset: 1, epoch: "e", recovered: false });
    await settle(REJOIN_MS);
    expect(peer.sent.slice(2)).toEqual([{ type: "subscribe", channel: "me" }]);
    peer.join();
    expect(socket.state.phase).toBe("live");
  });

  it("gives up a connection that lets it into no channel", async () => {
    socket.start();
    await settle();
    FakeSocket.last.welcome();
    await settle(CONNECT_MS);
    expect(FakeSocket.last.closedWith).toBe(1000);
    expect(socket.state.phase).toBe("waiting");
  });

  it("gives up a connection that brings no welcome", async () => {
    socket.start();
    await settle(CONNECT_MS);
    expect(FakeSocket.last.closedWith).toBe(1000);
    expect(socket.state.phase).toBe("waiting");
  });

  it("tries again when the API is out of reach", async () => {
    endpoint = () => Promise.reject(new Unreachable(null));
    socket.start();
    await settle();
    expect(socket.state).toEqual({ phase: "waiting", attempt: 1 });
    endpoint = () => Promise.resolve("ws://host:8081/ws");
    await settle(250);
    expect(FakeSocket.opened).toHaveLength(1);
  });

  it("is not started twice", async () => {
    socket.start();
    socket.start();
    await settle();
    expect(FakeSocket.opened).toHaveLength(1);
  });

  it("forgets an attempt that a stop overtook", async () => {
    socket.start();
    socket.stop();
    await settle(60_000);
    expect(FakeSocket.opened).toHaveLength(0);
    expect(socket.state).toEqual({ phase: "stopped", code: null });
  });
});

describe("coming back", () => {
  it.each([1006, 1001, 1011, 4001, 4008, 4012])("reconnects after close code %i", async (code) => {
    (await connected()).hangUp(code);
    expect(socket.state.phase).toBe("waiting");
    await settle(250);
    expect(FakeSocket.opened).toHaveLength(2);
  });

  it("waits exponentially longer with full jitter, up to a cap", async () => {
    socket.start();
    await settle();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 9; attempt += 1) {
      FakeSocket.last.hangUp(1006);
      const before = FakeSocket.opened.length;
      let waited = 0;
      while (FakeSocket.opened.length === before) {
        await settle(250);
        waited += 250;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });

  it("begins anew only after a connection that held", async () => {
    await connected();
    FakeSocket.last.hangUp(1006);
    await settle(250);
    FakeSocket.last.welcome();
    FakeSocket.last.join();
    FakeSocket.last.hangUp(1006); // it flapped
    expect(socket.state).toEqual({ phase: "waiting", attempt: 2 });
    await settle(500);
    FakeSocket.last.welcome();
    FakeSocket.last.join();
    await settle(STEADY_MS);
    FakeSocket.last.hangUp(1006);
    expect(socket.state).toEqual({ phase: "waiting", attempt: 1 });
  });

  it("comes back when a draining server says", async () => {
    const peer = await connected();
    peer.say({ type: "reconnect", after_ms: 1_700 });
    expect(peer.closedWith).toBe(1000);
    await settle(1_699);
    expect(FakeSocket.opened).toHaveLength(1);
    await settle(1);
    expect(FakeSocket.opened).toHaveLength(2);
  });

  it("does not wait when it is nudged", async () => {
    (await connected()).hangUp(1006);
    socket.nudge();
    await settle();
    expect(FakeSocket.opened).toHaveLength(2);
    await settle(1_000); // the wait that was cut short starts nothing
    expect(FakeSocket.opened).toHaveLength(2);
  });

  it("drops what does not speak the protocol", async () => {
    const peer = await connected();
    peer.onmessage?.({ data: "<html>" });
    expect(peer.closedWith).toBe(1000);
    expect(socket.state.phase).toBe("waiting");
  });

  it("passes on messages of types that it does not know", async () => {
    const peer = await connected();
    peer.say({ type: "fireworks" } as unknown as ServerMessage);
    expect(socket.state.phase).toBe("live");
  });

  it("hears nothing of a socket it left", async () => {
    const peer = await connected();
    peer.say({ type: "reconnect", after_ms: 100 });
    const heard = messages.length;
    peer.say({ type: "event", channel: "me", offset: 2, data: null });
    peer.hangUp(4501);
    expect(messages).toHaveLength(heard);
    expect(socket.state.phase).toBe("waiting");
  });
});

describe("pings", () => {
  it("drops a connection that stays silent", async () => {
    const peer = await connected();
    await settle(PING_MS);
    expect(peer.sent.at(-1)).toEqual({ type: "ping" });
    await settle(PONG_MS);
    expect(peer.closedWith).toBe(1000);
    expect(socket.state.phase).toBe("waiting");
  });

  it("takes any message for an answer", async () => {
    const peer = await connected();
    await settle(PING_MS);
    peer.say({ type: "event", channel: "network", offset: 1, data: null });
    await settle(PONG_MS);
    expect(socket.state.phase).toBe("live");
  });

  it("asks at once when nudged", async () => {
    const peer = await connected();
    socket.nudge();
    expect(peer.sent.at(-1)).toEqual({ type: "ping" });
    peer.say({ type: "pong", server_time: new Date().toISOString() });
    await settle(PONG_MS);
    expect(socket.state.phase).toBe("live");
  });
});

describe("tokens", () => {
  it("renews an ending token on the same socket", async () => {
    const peer = await connected();
    peer.say({ type: "token_expiring", expires: new Date().toISOString() });
    await settle();
    expect(peer.sent.at(-1)).toEqual({ type: "auth", token: "token-1" });
    peer.welcome();
    expect(peer.sent.filter(({ type }) => type === "subscribe")).toHaveLength(2);
    expect(FakeSocket.opened).toHaveLength(1);
  });

  it("does not renew without a pause, however short-lived they are", async () => {
    const peer = await connected();
    const expiring = { type: "token_expiring", expires: new Date().toISOString() } as const;
    peer.say(expiring);
    await settle();
    peer.say(expiring);
    peer.say(expiring);
    await settle(RENEWAL_SPACING_MS - 1);
    expect(renewals).toBe(1);
    await settle(1);
    expect(renewals).toBe(2);
  });

  it("keeps the socket when a renewal is out of reach", async () => {
    const peer = await connected();
    renew = () => Promise.reject(new Unreachable(null));
    peer.say({ type: "token_expiring", expires: new Date().toISOString() });
    await settle();
    expect(socket.state.phase).toBe("live");
    expect(peer.sent.map(({ type }) => type)).not.toContain("auth");
  });

  it.each([CloseCode.UNAUTHENTICATED, CloseCode.AUTH_TIMEOUT, CloseCode.REVOKED])(
    "tries a new token after %i, once",
    async (code) => {
      (await connected()).hangUp(code);
      await settle();
      expect(FakeSocket.last.token).toBe("token-1");
      expect(FakeSocket.opened).toHaveLength(2);
      FakeSocket.last.hangUp(code);
      await settle(60_000);
      expect(FakeSocket.opened).toHaveLength(2);
      expect(signedOut).toBe(1);
      expect(socket.state).toEqual({ phase: "stopped", code });
    },
  );

  it("ends when there is no session to renew", async () => {
    renew = () => Promise.reject(new SignedOut());
    (await connected()).hangUp(CloseCode.REVOKED);
    await settle(60_000);
    expect(signedOut).toBe(1);
    expect(FakeSocket.opened).toHaveLength(1);
  });

  it("does not sign out when the API is away while a token is to be renewed", async () => {
    (await connected()).hangUp(CloseCode.UNAUTHENTICATED);
    renew = () => Promise.reject(new Unreachable(null));
    await settle();
    expect(signedOut).toBe(0);
  });
});

describe("final close codes", () => {
  it.each([CloseCode.CONNECTION_LIMIT, CloseCode.BAD_MESSAGE, CloseCode.RATE_LIMIT])(
    "stays away after %i until it is started again",
    async (code) => {
      (await connected()).hangUp(code);
      await settle(120_000);
      expect(FakeSocket.opened).toHaveLength(1);
      expect(socket.state).toEqual({ phase: "stopped", code });
      expect(signedOut).toBe(0);
      socket.start();
      await settle();
      expect(FakeSocket.opened).toHaveLength(2);
    },
  );
});

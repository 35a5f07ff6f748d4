import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { FrameBatcher } from "../lib/frame";
import { CloseCode } from "../lib/protocol";
import { Clock } from "./clock.svelte";
import { Connection } from "./connection.svelte";
import { LastValue } from "./last-value.svelte";
import { BAR_MS, BARS, Pulse } from "./pulse.svelte";

let frames: FrameBatcher;

beforeEach(() => {
  vi.useFakeTimers();
  frames = new FrameBatcher(document);
});

afterEach(() => {
  frames.destroy();
  vi.useRealTimers();
});

describe("a last value", () => {
  const value = (revision: number, text: string) => ({ revision, text });

  it("takes newer revisions and drops older ones", () => {
    const store = new LastValue<{ revision: number; text: string }>("me", frames);
    expect(store.offer(value(5, "five"))).toBe(true);
    expect(store.offer(value(4, "late"))).toBe(false);
    expect(store.offer(value(6, "six"))).toBe(true);
    expect(store.current).toBeNull();
    vi.advanceTimersToNextFrame();
    expect(store.current).toEqual(value(6, "six"));
  });

  it("lets the later of one revision win", () => {
    const store = new LastValue<{ revision: number; text: string }>("me", frames);
    store.offer(value(5, "without the new node"));
    expect(store.offer(value(5, "with it"))).toBe(true);
    expect(store.latest?.text).toBe("with it");
  });
});

describe("the connection", () => {
  it("is connecting at first, then live, then reconnecting, then offline", () => {
    const connection = new Connection();
    expect([connection.health, connection.word]).toEqual(["connecting", "Connecting"]);
    connection.socket({ phase: "live" });
    connection.heardAt = Date.now();
    expect([connection.health, connection.word]).toEqual(["live", "Live"]);
    connection.socket({ phase: "waiting", attempt: 1 });
    expect([connection.health, connection.word]).toEqual(["connecting", "Reconnecting"]);
    expect(connection.stale).toBe(false);
    connection.socket({ phase: "waiting", attempt: 5 });
    expect([connection.health, connection.word]).toEqual(["offline", "Offline"]);
    expect(connection.stale).toBe(true);
  });

  it("is offline at once when the browser has no network", () => {
    const connection = new Connection();
    connection.socket({ phase: "waiting", attempt: 1 });
    connection.network(false);
    expect(connection.health).toBe("offline");
    connection.network(true);
    expect(connection.health).toBe("connecting");
  });

  it("says why nothing is tried any more", () => {
    const connection = new Connection();
    connection.socket({ phase: "stopped", code: CloseCode.CONNECTION_LIMIT });
    expect(connection.closed).toContain("Too many pages");
    connection.socket({ phase: "stopped", code: 4999 });
    expect(connection.closed).toContain("4999");
    connection.socket({ phase: "connecting", attempt: 0 });
    expect(connection.closed).toBeNull();
  });
});

describe("the pulse", () => {
  function shown(pulse: Pulse): string {
    vi.advanceTimersToNextFrame();
    return pulse.bars
      .slice(-4)
      .map((bar) => (bar.watched ? String(bar.gain) : "?"))
      .join(" ");
  }

  it("adds up what came within a span", () => {
    const pulse = new Pulse(frames);
    pulse.gain(0, 3n);
    pulse.gain(BAR_MS - 1, 4n);
    expect(shown(pulse)).toBe("? ? ? 7");
    expect(pulse.beats).toBe(2);
  });

  it("tells a span without a gain from one that nobody watched", () => {
    const pulse = new Pulse(frames);
    pulse.gain(0, 3n);
    pulse.watch(BAR_MS);
    pulse.miss(2 * BAR_MS);
    pulse.gain(3 * BAR_MS, 5n);
    expect(shown(pulse)).toBe("3 0 ? 5");
  });

  it("takes no correction downwards for a pulse", () => {
    const pulse = new Pulse(frames);
    pulse.gain(0, -5n);
    expect(shown(pulse)).toBe("? ? ? 0");
    expect(pulse.beats).toBe(0);
  });

  it("forgets what is older than it shows, also after a long sleep", () => {
    const pulse = new Pulse(frames);
    pulse.gain(0, 3n);
    pulse.watch(10_000 * BAR_MS);
    vi.advanceTimersToNextFrame();
    expect(pulse.bars).toHaveLength(BARS);
    expect(pulse.bars.filter((bar) => bar.watched)).toEqual([{ watched: true, gain: 0n }]);
  });
});

it("keeps the server's time on a machine whose clock is wrong", () => {
  const clock = new Clock();
  const server = Date.now() + 3_600_000;
  clock.learn(new Date(server).toISOString());
  expect(clock.now).toBe(server);
  vi.advanceTimersByTime(2_000);
  expect(clock.now).toBe(server + 2_000);
  clock.destroy();
});

import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FakeBrowser, type FakeTab } from "../testing/fake-browser";
import { FakeSocket } from "../testing/fake-socket";
import type { ServerMessage } from "./protocol";
import { CHECK_MS, SharedSocket, SILENCE_MS } from "./shared-socket";
import type { SocketState } from "./socket";

interface Page {
  socket: SharedSocket;
  tab: FakeTab | null;
  messages: ServerMessage[];
  states: SocketState[];
}

let browser: FakeBrowser;
let pages: Page[];

const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(1);
const phases = (): string[] => pages.map(({ socket }) => socket.state.phase);
const heard = ({ messages }: Page): unknown[] =>
  messages.flatMap((each) => (each.type === "event" || each.type === "snapshot" ? [each.data] : []));

function open(tab: FakeTab | null = browser.tab()): Page {
  const messages: ServerMessage[] = [];
  const states: SocketState[] = [];
  const socket = new SharedSocket({
    group: "g",
    browser: tab,
    channels: ["me"],
    streams: ["notes"],
    endpoint: () => Promise.resolve("ws://here/ws"),
    token: () => Promise.resolve("t"),
    renew: () => Promise.resolve("t"),
    onMessage: (message) => messages.push(message),
    onState: (state) => states.push(state),
    onSignedOut: () => undefined,
    random: () => 0,
    open: FakeSocket.open,
  });
  const page = { socket, tab, messages, states };
  pages.push(page);
  socket.start();
  return page;
}

async function openLive(): Promise<Page> {
  const page = open();
  await settle();
  FakeSocket.last.welcome();
  FakeSocket.last.join();
  await settle();
  return page;
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.opened.length = 0;
  browser = new FakeBrowser();
  pages = [];
});

afterEach(() => {
  for (const { socket } of pages) socket.stop();
  vi.useRealTimers();
});

it("opens one connection for all tabs, and all hear what comes", async () => {
  const first = await openLive();
  const [second, third] = [open(), open()];
  await settle();
  FakeSocket.last.say({ type: "event", channel: "me", offset: 1, data: "news" });
  await settle();
  expect(FakeSocket.opened).toHaveLength(1);
  expect(phases()).toEqual(["live", "live", "live"]);
  expect([first, second, third].map(heard)).toEqual([["news"], ["news"], ["news"]]);
});

it("tells a tab that comes later what is newest", async () => {
  await openLive();
  FakeSocket.last.say({ type: "snapshot", channel: "me", offset: 1, data: "old" });
  FakeSocket.last.say({ type: "event", channel: "me", offset: 2, data: "newest" });
  const late = open();
  await settle();
  expect(heard(late)).toEqual(["newest"]);
});

it("goes on in another tab when the one that leads closes", async () => {
  const first = await openLive();
  const second = open();
  await settle();
  first.tab?.close();
  await settle();
  expect(second.socket.leads).toBe(true);
  expect(FakeSocket.opened).toHaveLength(2);
});

it("resumes a stream where it stood, whoever leads", async () => {
  const first = await openLive();
  const second = open();
  second.socket.want(["notes"]);
  await settle();
  FakeSocket.last.say({ type: "subscribed", channel: "notes", offset: 5, epoch: "e", recovered: false });
  FakeSocket.last.say({ type: "event", channel: "notes", offset: 6, data: "six" });
  await settle();
  first.socket.stop();
  await settle();
  FakeSocket.last.welcome();
  FakeSocket.last.join();
  await settle();
  expect(FakeSocket.last.sent).toContainEqual({ type: "subscribe", channel: "notes", offset: 6, epoch: "e" });
  expect(FakeSocket.last.sent).toContainEqual({ type: "subscribe", channel: "me" });
});

it("joins what any tab wants, and leaves it with the last of them", async () => {
  await openLive();
  const second = open();
  second.socket.want(["node:1"]);
  await settle();
  expect(FakeSocket.last.sent).toContainEqual({ type: "subscribe", channel: "node:1" });
  FakeSocket.last.say({ type: "subscribed", channel: "node:1", offset: 0, epoch: "e", recovered: false });
  await settle();
  second.tab?.close();
  await settle();
  expect(FakeSocket.last.sent).toContainEqual({ type: "unsubscribe", channel: "node:1" });
});

it("takes the lead from a tab that gives no answer, and gives it back to none", async () => {
  const first = await openLive();
  const second = open();
  await settle();
  (first.tab as FakeTab).frozen = true;
  await vi.advanceTimersByTimeAsync(CHECK_MS + SILENCE_MS);
  expect(second.socket.leads).toBe(true);
  (first.tab as FakeTab).frozen = false;
  await settle();
  expect(first.socket.leads).toBe(false);
  expect(FakeSocket.opened.filter(({ closedWith }) => closedWith === null)).toHaveLength(1);
});

it("leaves a silent leader alone while nobody looks", async () => {
  const first = await openLive();
  const second = open();
  await settle();
  (first.tab as FakeTab).frozen = true;
  (second.tab as FakeTab).unseen = true;
  await vi.advanceTimersByTimeAsync(2 * CHECK_MS);
  expect(second.socket.leads).toBe(false);
});

it("tries again from any tab after a final close", async () => {
  await openLive();
  const second = open();
  await settle();
  FakeSocket.last.hangUp(4504);
  await settle();
  expect(second.socket.state).toEqual({ phase: "stopped", code: 4504 });
  second.socket.start();
  await settle();
  expect(FakeSocket.opened).toHaveLength(2);
});

it("has a connection of its own where there are no locks", async () => {
  open(null);
  open(null);
  await settle();
  expect(FakeSocket.opened).toHaveLength(2);
});

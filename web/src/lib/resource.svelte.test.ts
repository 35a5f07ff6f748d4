import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { Answer } from "./http";
import { Problem, Unreachable } from "./problem";
import { type Read, Resource, Resources, SPACING_MS } from "./resource.svelte";

let reading: ReturnType<typeof vi.fn<(address: string, etag: string | null) => Promise<Answer<unknown>>>>;
let read: Read;

const answer = (data: unknown, etag: string | null = null): Promise<Answer<unknown>> =>
  Promise.resolve({ data, etag, serverTime: null, unchanged: false });
const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  reading = vi.fn(() => answer("first", '"1"'));
  read = reading as unknown as Read;
});
afterEach(() => vi.useRealTimers());

it("is read when somebody shows it, and has nothing until then", async () => {
  const resource = new Resource("/a", read);
  expect([resource.loading, resource.data]).toEqual([true, null]);
  resource.use();
  await settle();
  expect([resource.loading, resource.data, resource.stale]).toEqual([false, "first", false]);
});

it("asks whether what it has is still the newest", async () => {
  const resource = new Resource("/a", read);
  resource.use();
  await settle();
  reading.mockResolvedValue({ data: null, etag: null, serverTime: null, unchanged: true });
  const before = resource.at as number;
  await vi.advanceTimersByTimeAsync(60_000);
  await resource.refresh();
  expect(reading).toHaveBeenLastCalledWith("/a", '"1"');
  expect(resource.data).toBe("first");
  expect(resource.at).toBe(before + 60_000);
});

it("keeps what it has when it cannot be read, says so, and comes back", async () => {
  const resource = new Resource("/a", read, () => 1);
  resource.use();
  await settle();
  reading.mockRejectedValue(new Unreachable(null));
  await resource.refresh();
  expect([resource.data, resource.stale]).toEqual(["first", true]);
  reading.mockImplementation(() => answer("second"));
  await vi.advanceTimersByTimeAsync(1_000);
  expect([resource.data, resource.stale]).toEqual(["second", false]);
});

it("waits as long as the server asks", async () => {
  const resource = new Resource("/a", read, () => 0);
  reading.mockRejectedValue(new Problem(429, "too_many_requests", "", { retry_after: 7 }));
  resource.use();
  await settle();
  await vi.advanceTimersByTimeAsync(6_900);
  expect(reading).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(100);
  expect(reading).toHaveBeenCalledTimes(2);
});

it("does not insist on what is refused", async () => {
  const resource = new Resource("/a", read, () => 0);
  reading.mockRejectedValue(new Problem(404, "not_found", ""));
  resource.use();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(reading).toHaveBeenCalledTimes(1);
});

it("answers a burst of news with one reading", async () => {
  const resource = new Resource("/a", read);
  resource.use();
  await settle();
  for (let count = 0; count < 50; count += 1) resource.news();
  await vi.advanceTimersByTimeAsync(SPACING_MS);
  expect(reading).toHaveBeenCalledTimes(2);
});

it("stops when nobody shows it any more", async () => {
  const resource = new Resource("/a", read, () => 1);
  reading.mockRejectedValue(new Unreachable(null));
  const leave = resource.use();
  await settle();
  leave();
  leave();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(reading).toHaveBeenCalledTimes(1);
});

it("is one for all who ask for the same address", () => {
  const resources = new Resources(read);
  expect(resources.at("/a")).toBe(resources.at("/a"));
  expect(resources.at("/a")).not.toBe(resources.at("/b"));
});

it("is read again when something below it was written, or the server is back", async () => {
  const resources = new Resources(read, () => 1);
  resources.at("/nodes/1").use();
  const spare = resources.at("/nodes/2");
  await settle();
  resources.touch("/nodes");
  await settle();
  expect(reading).toHaveBeenCalledTimes(2);
  expect(resources.at("/nodes/2")).not.toBe(spare);
  reading.mockRejectedValueOnce(new Unreachable(null));
  await resources.at("/nodes/1").refresh();
  resources.reachable();
  await settle();
  expect(resources.at("/nodes/1").error).toBeNull();
});

it("forgets the oldest that nobody shows", () => {
  const resources = new Resources(read);
  const first = resources.at("/0");
  for (let count = 1; count <= 100; count += 1) resources.at(`/${count}`);
  expect(resources.at("/0")).not.toBe(first);
});

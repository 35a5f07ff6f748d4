import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { FrameBatcher } from "./frame";

let hidden = false;
let frames: FrameBatcher;

beforeEach(() => {
  vi.useFakeTimers();
  hidden = false;
  vi.spyOn(document, "hidden", "get").mockImplementation(() => hidden);
  frames = new FrameBatcher(document);
});

afterEach(() => {
  frames.destroy();
  vi.useRealTimers();
});

it("applies the newest of each key once per frame, whatever the rate", () => {
  const applied: string[] = [];
  for (let n = 0; n < 1_000; n += 1) {
    frames.put("me", () => applied.push(`me ${n}`));
    frames.put("network", () => applied.push(`network ${n}`));
  }
  expect(applied).toEqual([]);
  vi.advanceTimersToNextFrame();
  expect(applied).toEqual(["me 999", "network 999"]);
  vi.advanceTimersToNextFrame();
  expect(applied).toHaveLength(2);
});

it("goes on once a second while the page is hidden", () => {
  const applied: number[] = [];
  frames.put("me", () => applied.push(1));
  hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  vi.advanceTimersByTime(999);
  expect(applied).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(applied).toEqual([1]);
});

it("does nothing any more once destroyed", () => {
  const applied: number[] = [];
  frames.put("me", () => applied.push(1));
  frames.destroy();
  vi.advanceTimersByTime(5_000);
  expect(applied).toEqual([]);
});

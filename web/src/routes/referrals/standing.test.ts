import { describe, expect, it } from "vitest";

import type { LevelView } from "../../lib/api";
import { conditionOf, inviteLink, multiplied, shortId, total } from "./standing";

function level(earned: string, pending: string, released: string, held: string): LevelView {
  return { level: 1, share: 2_000, people: 1, active: 1, review: 0, refused: 0, earned, pending, released, held, reversed: "1" };
}

it("sums amounts that no number holds", () => {
  expect(total([level("9007199254740993", "9007199254740992", "1", "0"), level("4", "1", "1", "2")])).toEqual({
    earned: 9007199254740997n,
    pending: 9007199254740993n,
    released: 2n,
    held: 2n,
    reversed: 2n,
  });
  expect(total([]).earned).toBe(0n);
});

describe("somebody who was brought", () => {
  it.each([
    ["good", "2026-11-22T10:00:00Z", "active"],
    ["good", null, "waiting"],
    ["review", "2026-11-22T10:00:00Z", "review"],
    ["refused", null, "refused"],
  ] as const)("who is %s since %s counts as %s", (state, active_at, condition) => {
    expect(conditionOf({ state, active_at })).toBe(condition);
  });
});

it("multiplies shares as the server does", () => {
  expect([multiplied(2_000, 10_000), multiplied(2_000, 11_000), multiplied(333, 12_500)]).toEqual([2_000, 2_200, 416]);
});

it("makes a link that survives any code and any place of the page", () => {
  const page = { origin: "https://pulseboard.example", pathname: "/app/" };
  expect(inviteLink("7K3MQ-9XTRB", page)).toBe("https://pulseboard.example/app/#/signup?code=7K3MQ-9XTRB");
  expect(inviteLink("a&b=#", page)).toBe("https://pulseboard.example/app/#/signup?code=a%26b%3D%23");
});

it("names people by the end of their id, which differs", () => {
  expect(shortId("019ab2c3-1111-7000-8000-00000c094eab")).toBe("094eab");
});

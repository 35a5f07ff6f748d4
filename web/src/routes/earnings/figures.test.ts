import { describe, expect, it } from "vitest";

import type { BonusShare, EpochExplained, EpochView, HistoryItem, NodeShare } from "../../lib/api";
import { bookedParts, recount, shareOf } from "./arithmetic";
import { categoriesOf, correctedEpoch, movement } from "./bookings";
import { epochAt } from "./epoch-at";
import { beside, closer, listed, spanOf } from "./periods";
import { percentOf, place } from "./proportions";

const HOUR_MS = 3_600_000;

function node(more: Partial<NodeShare> = {}): NodeShare {
  return {
    node_id: "n",
    seconds: 60,
    score: 8_000,
    gate: 4,
    points: 8_000,
    bytes: 100,
    country: null,
    availability_weight: "480000",
    usage_weight: "100",
    availability: "5833333",
    usage: "1250000",
    arithmetic: [],
    ...more,
  };
}

function explained(more: Partial<EpochExplained> = {}): EpochExplained {
  const work = { unallocated: "0", weight: "0" };
  return {
    epoch: {
      number: 3,
      starts_at: "2026-11-23T15:53:00Z",
      ends_at: "2026-11-23T15:54:00Z",
      terms: 1,
      closed_at: "2026-11-23T15:56:00Z",
      final: false,
      nodes: 2,
      users: 2,
      pools: [
        { ...work, category: "availability", pool: "11666666", weight: "960000", rewarded: "11666666" },
        { ...work, category: "usage", pool: "5000000", weight: "400", rewarded: "5000000" },
      ],
    },
    seconds: 60,
    terms: {
      version: 1,
      created_at: "2026-11-23T15:00:00Z",
      availability_pool: "700000000",
      usage_pool: "300000000",
      bonus_pool: "100000000",
      referral_pool: "200000000",
      unmeasured_score: 5_000,
      hold_seconds: 604_800,
      holdback: [],
      streak: { days: 7, least_seconds: 72_000, amount: "5000000" },
      first_hours: { hours: 100, share: 5_000 },
      minimum_payout: "1000000",
    },
    method: [],
    nodes: [node()],
    bonuses: null,
    booked: [],
    ...more,
  };
}

describe("an epoch computed again", () => {
  it("comes out where the server is right", () => {
    expect(recount(explained())).toEqual({ steps: 9, wrong: [] });
  });

  it("rounds every division down", () => {
    expect(shareOf(11_666_666n, 480_000n, 960_000n)).toBe(5_833_333n);
    expect(shareOf(10n, 1n, 3n)).toBe(3n);
    expect(shareOf(10n, 1n, 0n)).toBe(0n);
  });

  it("tells a micro-point too much", () => {
    const found = recount(explained({ nodes: [node({ availability: "5833334" })] }));
    expect(found.wrong).toEqual(["availability n: 5833334 ≠ 5833333"]);
  });

  it("takes what stands for a score that was not measured, after its gate", () => {
    const unmeasured = node({ score: null, gate: 2, points: 2_500, availability_weight: "150000", availability: "1822916" });
    expect(recount(explained({ nodes: [unmeasured] })).wrong).toEqual([]);
  });

  it("is exact beyond what a number holds", () => {
    const pool = "90071992547409930000001";
    const pools = [{ category: "referral" as const, pool, weight: "0", rewarded: pool, unallocated: "0" }];
    const base = explained({ nodes: [] });
    expect(recount({ ...base, epoch: { ...base.epoch, pools } }).wrong).toEqual([]);
    const off = [{ ...pools[0]!, unallocated: "1" }];
    expect(recount({ ...base, epoch: { ...base.epoch, pools: off } }).wrong).toHaveLength(1);
  });

  it("cuts bonuses alike where more was wanted than there is", () => {
    const bonus: BonusShare = {
      category: "first_hours",
      campaign: null,
      days: null,
      seconds: 30,
      reward: "7083333",
      wanted: "1770833",
      amount: "833333",
      arithmetic: [],
    };
    const bonuses = { pool: "1666666", wanted: "3541666", own: [bonus] };
    expect(recount(explained({ bonuses })).wrong).toEqual([]);
    expect(recount(explained({ bonuses: { ...bonuses, own: [{ ...bonus, wanted: "1770834" }] } })).wrong[0]).toContain("first_hours wanted");
  });

  it("cuts a campaign by its budget first", () => {
    const campaign = { campaign_id: "c", name: "Autumn", country: "DE", share: 10_000, seconds: 30, available: "100", wanted: "400", paid: "100" };
    const bonus: BonusShare = { category: "campaign", campaign, days: null, seconds: null, reward: "400", wanted: "50", amount: "50", arithmetic: [] };
    expect(recount(explained({ bonuses: { pool: "1666666", wanted: "100", own: [bonus] } })).wrong).toEqual([]);
  });

  it("tells corrections from what the epoch itself paid", () => {
    const booked = [
      { category: "availability" as const, amount: "5833340" },
      { category: "referral" as const, amount: "9" },
    ];
    expect(bookedParts(explained({ booked }))).toEqual([
      { category: "availability", booked: 5_833_340n, computed: 5_833_333n, other: 7n },
      { category: "referral", booked: 9n, computed: null, other: null },
    ]);
    expect(bookedParts(explained({ booked, nodes: [] }))[0]).toMatchObject({ computed: null, other: null });
  });
});

describe("a booking", () => {
  const line = (account: "pending" | "final" | "held", amount: string, category: "usage" | "availability" = "usage") => ({
    account,
    category,
    amount,
    matures_at: null,
  });

  it("is told by the accounts it moves between", () => {
    const lines = [line("pending", "-10"), line("final", "6"), line("pending", "-2", "availability"), line("held", "-4"), line("final", "10")];
    expect(movement({ lines })).toEqual({ from: ["pending", "held"], to: ["final"], moved: 16n });
    expect(categoriesOf({ lines })).toEqual(["availability", "usage"]);
  });

  it("names the epoch that it corrects", () => {
    expect(correctedEpoch("correction:41:usage")).toBe(41);
    expect(correctedEpoch("epoch:41:usage")).toBeNull();
    expect(movement({ lines: [] } as Pick<HistoryItem, "lines">)).toEqual({ from: [], to: [], moved: 0n });
  });
});

describe("the epoch of a moment", () => {
  const start = Date.parse("2026-01-01T00:00:00Z");
  /** Epochs of an hour, from number 500 on of a minute. */
  const edge = (number: number): number => start + Math.min(number - 1, 499) * HOUR_MS + Math.max(0, number - 500) * 60_000;
  const epoch = (number: number): Pick<EpochView, "number" | "starts_at" | "ends_at"> => ({
    number,
    starts_at: new Date(edge(number)).toISOString(),
    ends_at: new Date(edge(number + 1)).toISOString(),
  });

  it("is found in few looks, also where the length changed", async () => {
    for (const wanted of [1, 2, 250, 499, 500, 501, 900, 1_000]) {
      let looks = 0;
      const read = (number: number) => {
        looks += 1;
        return Promise.resolve(epoch(number));
      };
      expect(await epochAt(edge(wanted) + 1, 0, epoch(1_000), read)).toBe(wanted);
      expect(looks).toBeLessThan(15);
    }
  });

  it("is none before the first and after the last", async () => {
    const read = (number: number) => Promise.resolve(epoch(number));
    expect(await epochAt(start - 1, start, epoch(1_000), read)).toBeNull();
    expect(await epochAt(edge(1_001), edge(1_002), epoch(1_000), read)).toBeNull();
    expect(await epochAt(edge(2), edge(3), epoch(1), read)).toBeNull();
  });

  it("is the first in the time asked for where that begins before all", async () => {
    const read = (number: number) => Promise.resolve(epoch(number));
    expect(await epochAt(start - HOUR_MS, start + 1, epoch(1_000), read)).toBe(1);
    expect(await epochAt(start - HOUR_MS, start + 1, epoch(1), read)).toBe(1);
  });
});

describe("steps", () => {
  const point = (amount: string | null, complete = true) => ({ start: "s", end: "e", amount, categories: {}, complete });

  it("are listed from the first with anything to the one that runs, the newest first", () => {
    const [none, some, open] = [point(null), point("0"), point(null, false)];
    expect(listed([none, some, none, open])).toEqual([open, none, some]);
    expect(listed([none, none])).toEqual([]);
  });

  it("lead to finer ones, and at last to the epoch", () => {
    const step = { start: "2026-11-01T00:00:00Z", end: "2026-12-01T00:00:00Z" };
    expect(closer(step, "month", null)).toContain("/earnings?period=day&from=2026-11-01");
    expect(closer(step, "hour", "n1")).toBe("/earnings/at/2026-11-01T00%3A00%3A00Z?to=2026-12-01T00%3A00%3A00Z&node=n1");
  });

  it("have neighbours of the same length", () => {
    const range = { start: "2026-11-02T00:00:00Z", end: "2026-11-03T00:00:00Z" };
    expect(beside(range, -1)).toEqual({ from: "2026-11-01T00:00:00.000Z", to: range.start });
    expect(beside(range, 1)).toEqual({ from: range.end, to: "2026-11-04T00:00:00.000Z" });
  });

  it("have lengths without units that are 0", () => {
    expect([300, 90, 604_800, 5_400, 0].map(spanOf)).toEqual(["5m", "1m 30s", "7d", "1h 30m", "0s"]);
  });
});

describe("what is drawn", () => {
  it("is in proportion, however large the amounts", () => {
    expect(percentOf(10n ** 30n, 4n * 10n ** 30n)).toBe(25);
    expect(percentOf(-1n, 5n)).toBe(0);
    expect(percentOf(6n, 5n)).toBe(100);
    expect(percentOf(1n, 0n)).toBe(0);
  });

  it("has room beyond the most", () => {
    const { most, least } = place(0n, 25_000n, 50_000n, 100_000n);
    expect(most).toBeGreaterThan(96);
    expect(most).toBeLessThan(100);
    expect(least).toBeCloseTo(most / 4, 1);
    expect(place(0n, 0n, 0n, 0n)).toEqual({ booked: 0, least: 0, amount: 0, most: 0 });
  });
});

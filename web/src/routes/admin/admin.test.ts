import { describe, expect, it } from "vitest";

import type { Process } from "../../lib/api";
import { campaignOf, type Draft, flaws, micropoints } from "./campaign";
import { gauge, rate, rateOf, type Reading } from "./figures";
import { findings } from "./health";

function process(process_id: string, metrics: Record<string, number | string> = {}): Process {
  return { kind: process_id.split("-")[0] as Process["kind"], process_id, admin_url: "", metrics };
}

const WELL: readonly Process[] = [
  process("worker-1", { bus_connected: 1, loop_lag_seconds: 0.001 }),
  process("jobs-1", { jobs_leading: 1, ledger_findings: 0, epoch_overdue_ms: 0 }),
  process("api-1", { http_responses_5xx_total: 0 }),
];

describe("figures of the cluster", () => {
  const readings: readonly Reading[] = [
    { at: 0, processes: [process("worker-1", { n: 10, open: 3 }), process("worker-2", { n: 5, open: 1 })] },
    { at: 2_000, processes: [process("worker-1", { n: 30, open: 4 }), process("worker-2", { n: 5, open: 2 })] },
    { at: 4_000, processes: [process("worker-1", { n: 2, open: 1 }), process("worker-3", { n: 900, open: 1 })] },
  ];

  it("adds gauges up", () => {
    expect(gauge(readings, "worker", "open")).toEqual([4, 6, 2]);
    expect(gauge(readings, "worker", "open", Math.max)).toEqual([3, 4, 1]);
  });

  it("tells nothing of what nobody measures", () => {
    expect(gauge(readings, "worker", "other")).toEqual([null, null, null]);
    expect(rate(readings, "api", ["n"])).toEqual([null, null, null]);
  });

  it("counts by the second, not what began anew or was not there before", () => {
    expect(rate(readings, "worker", ["n"])).toEqual([null, 10, 0]);
  });

  it("tells a process from the others", () => {
    expect(rateOf(readings, "worker-1", ["n"])).toEqual([null, 10, 0]);
  });
});

describe("the cluster's health", () => {
  it("finds nothing where all is well", () => {
    expect(findings(WELL)).toEqual([]);
  });

  it("misses processes that must be there", () => {
    expect(findings([]).map(({ name }) => name)).toEqual(["no_worker", "no_jobs"]);
  });

  it("puts what is worst first", () => {
    const ill = [
      ...WELL.slice(2),
      process("worker-1", { bus_connected: 0, loop_lag_seconds: 1 }),
      process("jobs-1", { jobs_leading: 0, ledger_findings: 2, epoch_overdue_ms: 5 }),
    ];
    expect(findings(ill).map(({ name, count }) => [name, count])).toEqual([
      ["no_leader", 1],
      ["ledger", 2],
      ["bus", 1],
      ["late_ticks", 1],
      ["epoch_late", 1],
    ]);
  });
});

describe("a new campaign", () => {
  const draft: Draft = { name: " Spring ", days: "30", percent: "12.5", budget: "9007199254.740993", country: "de" };

  it("is what was typed, to the last micro-point", () => {
    expect(flaws(draft)).toEqual([]);
    expect(campaignOf(draft, Date.UTC(2026, 0, 1, 0, 0, 0, 999))).toEqual({
      name: "Spring",
      ends_at: "2026-01-31T00:00:00.000Z",
      share: 1_250,
      budget: "9007199254740993",
      country: "DE",
    });
  });

  it("names every field that cannot be meant", () => {
    const wrong: Draft = { name: " ", days: "0", percent: "1001", budget: "1e3", country: "Germany" };
    expect(flaws(wrong)).toEqual(["name", "days", "percent", "budget", "country"]);
  });

  it.each([
    ["0.000001", 1n],
    ["1,5", 1_500_000n],
    ["0.0000001", null],
    ["-1", null],
    ["", null],
  ])("reads %s points", (text, amount) => {
    expect(micropoints(text)).toBe(amount);
  });
});

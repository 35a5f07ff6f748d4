import { beforeAll, describe, expect, it } from "vitest";

import type { Component, Gate, NodeItem, Point, Score, storage_base_statistics_SessionRecord as SessionRecord } from "../../lib/api";
import type { Overview } from "../../lib/protocol";
import { loadAreas } from "../../lib/text.svelte";
import { BAR_MS, BARS, dayBars, daySpans, dayStart } from "./day";
import { drawnCategory } from "./earnings";
import { countStates, filtered, listed, matching, readList } from "./list.svelte";
import { reasonOf } from "./reasons";
import { advice, factor, gateSentence, partSentence, scoreSentence } from "./score";
import { SLOT_MS, SLOTS, Trace } from "./trace.svelte";

beforeAll(() => loadAreas(["nodes"]));

function part(name: Component["name"], points: number | null, inputs: Component["inputs"], could_add: number | null = 0): Component {
  return { name, points, weight: 2_500, inputs, could_add, sentence: "as the server says" };
}

function gate(name: string, quarters: number | null, facts: Gate["facts"] = {}): Gate {
  return { name, quarters, facts, sentence: "as the server says" };
}

function score(more: Partial<Score>): Score {
  return {
    node_id: "n",
    score: 8_000,
    base: 8_000,
    quarters: 4,
    components: [part("uptime", 9_000, {}, 350), part("latency", 10_000, {}, 0)],
    gates: [],
    sentence: "",
    advice: "",
    window_seconds: 86_400,
    formula_version: 1,
    computed_at: "2026-11-23T12:00:00Z",
    ...more,
  };
}

describe("a part of a score", () => {
  it.each([
    [part("uptime", 10_000, { window_seconds: 86_400 }), "Confirmed online for all of 1d 0h."],
    [part("uptime", 9_134, { confirmed_seconds: 78_900, window_seconds: 86_400 }), "Confirmed online for 21h 55m of 1d 0h: 91.34%."],
    [part("uptime", null, { window_seconds: 600, least_window_seconds: 3_600 }), "Not measured: the node has been enrolled for 10m 0s, 1h 0m are needed."],
    [part("latency", 8_500, { samples: 90, median_ms: 60 }), "Half of the round trips took 60 ms at most."],
    [part("latency", 1_000, { samples: 90, median_ms: 2_000 }), "Half of the round trips took more than 1,500 ms."],
    [part("latency", null, { samples: 3, least_samples: 10 }), "Not measured: 3 of the 10 round trips that are needed."],
    [part("challenges", 9_800, { answered: 49, missed: 1, refused: 0 }), "Answered 49 of 50 challenges (1 missed, 0 refused): 98%."],
    [part("challenges", null, { answered: 1, missed: 0, refused: 0, least_challenges: 10 }), "Not measured: 1 of the 10 challenges that are needed."],
    [part("contribution", 5_000, { bytes: 1_500_000, target_bytes: 3_000_000 }), "Moved 1.5 MB; all points need 3 MB: 50%."],
  ])("says what it was given for", (found, said) => {
    expect(partSentence(found)).toBe(said);
  });
});

describe("a score", () => {
  it("says what it was made of", () => {
    expect(scoreSentence(score({ score: 2_000, quarters: 1 }))).toBe("8,000 from the parts, times ×¼");
  });

  it("that is not measured names what is missing, and waits", () => {
    const young = score({ score: null, base: null, components: [part("uptime", null, {}), part("latency", 1, {})] });
    expect(scoreSentence(young)).toContain("Uptime");
    expect(scoreSentence(young)).not.toContain("Round trips");
    expect(advice(young)).toContain("by itself");
    expect(scoreSentence(score({ score: null, base: null, computed_at: null, components: [] }))).toContain("since this node was enrolled");
  });

  it("is told what would raise it most", () => {
    expect(advice(score({}))).toBe("Staying online without pauses, up to +350.");
    expect(advice(score({ components: [part("uptime", 10_000, {}, 0)] }))).toContain("nothing to gain");
    const held = score({ score: 2_000, quarters: 1, gates: [gate("address_class", 4), gate("shared_address", 1, { nodes: 9 })] });
    expect(advice(held)).toBe("Ending what holds the score down, up to +6,000: 9 nodes share this node's address.");
  });

  it("has gates that hold, that do not, and that nothing is known of", () => {
    expect([0, 1, 2, 4].map(factor)).toEqual(["×0", "×¼", "×½", "×1"]);
    expect(gateSentence(gate("address_class", 4))).toBe("The address is a public one.");
    expect(gateSentence(gate("shared_address", null))).toContain("Not applied");
    expect(gateSentence(gate("impossible_travel", null))).toContain("where the node is");
  });

  it("says of a rule that it does not know what the server says", () => {
    expect(reasonOf("brand_new", { nodes: 3 }, "as the server says")).toBe("as the server says");
    expect(reasonOf("identical_timing", { of: "owner", nodes: 3, times: 4 }, "")).toContain("3 nodes of yours, 4 times");
  });
});

describe("the list of nodes", () => {
  function item(name: string, more: Partial<NodeItem> = {}): NodeItem {
    const at = "2026-11-22T10:00:00Z";
    return {
      node_id: `id-${name}`,
      user_id: "u",
      name,
      public_key: "",
      created_at: at,
      state: "online",
      since: at,
      flapping: false,
      confirmed_seconds: 1,
      country: null,
      ...more,
    };
  }
  const overview: Overview = {
    revision: 1,
    nodes_total: 3,
    nodes_online: 1,
    confirmed_seconds: 9,
    balance: "0",
    accruing: null,
    nodes: [{ node_id: "id-attic", name: "attic", state: "degraded", since: "2026-11-23T10:00:00Z", confirmed_seconds: 9, rtt_ms: 12, country: "DE" }],
  };
  const read = readList([item("attic", { country: "DE" }), item("cellar", { country: "AT" }), item("garage", { state: "offline" })]);
  const nodes = listed(read, overview);

  it("takes what is live from the socket, and does not make up what it does not know", () => {
    expect(nodes[0]).toMatchObject({ name: "attic", state: "degraded", confirmed_seconds: 9, rtt_ms: 12, place: "Germany" });
    expect(nodes[1]).toMatchObject({ name: "cellar", state: "online", place: "Austria" });
    expect(nodes[1]?.rtt_ms).toBeUndefined();
  });

  it("is narrowed by state, name, id and place", () => {
    const names = (state: Parameters<typeof filtered>[1], typed: string) => filtered(nodes, state, matching(read, typed)).map(({ name }) => name);
    expect(names("all", " ")).toEqual(["attic", "cellar", "garage"]);
    expect(names("offline", "")).toEqual(["garage"]);
    expect(names("all", "germ")).toEqual(["attic"]);
    expect(names("all", "id-cell")).toEqual(["cellar"]);
    expect(names("online", "attic")).toEqual([]);
    expect(names("all", "lcr")).toEqual([]);
  });

  it("is counted by state", () => {
    expect(countStates(nodes)).toEqual({ all: 3, online: 1, degraded: 1, offline: 1, suspended: 0 });
  });

  it("makes nothing anew of those that did not change, of however many", () => {
    const many = readList(Array.from({ length: 10_000 }, (_, index) => item(`node ${index}`)));
    const shown = listed(many, overview);
    expect(shown.every((node, index) => node === many.nodes[index])).toBe(true);
    expect(filtered(shown, "all", null)).toBe(shown);
    expect(filtered(shown, "all", matching(many, "node 9999"))).toEqual([many.nodes[9_999]]);
  });
});

describe("a node's day", () => {
  const now = Date.parse("2026-11-23T12:34:00Z");
  const start = dayStart(now);
  const at = (minutes: number): string => new Date(start + minutes * 60_000).toISOString();

  it("begins with an hour and has not ended", () => {
    expect(new Date(start).toISOString()).toBe("2026-11-22T13:00:00.000Z");
    expect(start + BARS * BAR_MS).toBeGreaterThan(now);
  });

  it("has a bar as high as what is confirmed of it, none where nothing was measured", () => {
    const points: Point[] = Array.from({ length: 10 }, (_, index) => ({ at: at(index), seconds: index < 5 ? 60 : 0 }));
    const bars = dayBars([...points, { at: at(15), seconds: null }], start, now);
    expect(bars).toHaveLength(BARS);
    expect(bars[0]).toEqual({ confirmed: 0.5, ahead: false });
    expect(bars[1]).toEqual({ confirmed: null, ahead: false });
    expect(bars.at(-1)).toEqual({ confirmed: null, ahead: true });
  });

  it("counts of the present bar only what has passed", () => {
    const last = Math.floor((now - start) / BAR_MS);
    const minutes = (now - start - last * BAR_MS) / 60_000;
    const points = Array.from({ length: minutes }, (_, index) => ({ at: at(last * 10 + index), seconds: 60 }));
    expect(dayBars(points, start, now)[last]?.confirmed).toBe(1);
  });

  it("shows sessions within it, cut at its edges", () => {
    const session = (opened_at: string, closed_at: string | null) => ({ opened_at, closed_at }) as SessionRecord;
    const spans = daySpans([session(at(-60), at(720)), session(at(1_200), null), session(at(-60), at(-30))], start, now);
    expect(spans).toHaveLength(2);
    expect(spans[0]).toEqual({ from: 0, to: 0.5 });
    expect(spans[1]?.to).toBeCloseTo((now - start) / (BARS * BAR_MS));
  });
});

describe("a trace", () => {
  it("keeps the newest of each slot, and gaps where nothing was seen", () => {
    const trace = new Trace();
    trace.see(0, 10);
    trace.see(1, 12);
    trace.see(SLOT_MS * 2, 14);
    trace.see(SLOT_MS * 3, null);
    expect(trace.values).toHaveLength(SLOTS);
    expect(trace.values.slice(-4)).toEqual([12, null, 14, null]);
    trace.see(SLOT_MS * 1_000, 1);
    expect(trace.values.filter((value) => value !== null)).toEqual([1]);
  });
});

it("tells a step that nothing was booked in from one that came to 0", () => {
  const step = { start: "", end: "", complete: true };
  const points = [
    { ...step, amount: null, categories: {} },
    { ...step, amount: "1500000", categories: { availability: "1500000" } },
  ];
  expect(drawnCategory(points, "availability")).toEqual([null, 1.5]);
  expect(drawnCategory(points, "usage")).toEqual([null, 0]);
});

import { beforeAll, describe, expect, it } from "vitest";

import type { CountryStatistics } from "../../lib/api";
import type { NetworkSummary } from "../../lib/protocol";
import { loadAreas } from "../../lib/text.svelte";
import type { Live } from "../../stores/live.svelte";
import { LEVELS, levelOf } from "./levels";
import { networkPulse } from "./pulse.svelte";
import { countryRows } from "./rows";
import { HEIGHT, WIDTH, world } from "./world";

beforeAll(() => loadAreas(["network"]));

const summary = (countries: NetworkSummary["countries"], more: Partial<NetworkSummary> = {}): NetworkSummary => ({
  revision: 1,
  nodes_online: 0,
  nodes_total: 0,
  users_total: 0,
  confirmed_seconds: 0,
  countries,
  ...more,
});
const measured = (country: string | null, nodes_online: number): CountryStatistics => ({
  country,
  nodes_online,
  nodes: 1,
  seconds: 1,
  uptime: 9_000,
  bytes_up: 0,
  bytes_down: 0,
  rtt_p50_ms: 20,
  rtt_p95_ms: 40,
});

describe("the list of countries", () => {
  it("counts as the socket says and measures as the API said, the unknown last", () => {
    const rows = countryRows(
      summary([{ country: "FR", nodes_online: 9 }, { country: "DE", nodes_online: 2 }, { country: null, nodes_online: 50 }]),
      [measured("DE", 7), measured("AT", 1), measured(null, 3)],
    );
    expect(rows.map(({ code, online, uptime }) => [code, online, uptime])).toEqual([
      ["FR", 9, null],
      ["DE", 2, 9_000],
      ["AT", 0, 9_000],
      ["unknown", 50, 9_000],
    ]);
    expect(rows.map(({ name }) => name)).toEqual(["France", "Germany", "Austria", "Unknown place"]);
  });

  it("does with the API alone", () => {
    expect(countryRows(null, [measured("DE", 7)])[0]?.online).toBe(7);
  });
});

describe("the map", () => {
  it("has an outline or a place for every country, within its frame", () => {
    const codes = world.outlines.flatMap(({ code }) => (code === null ? [] : [code]));
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes).toEqual(expect.arrayContaining(["US", "DE", "CN", "BR", "ZA", "AU"]));
    expect(codes).not.toContain("AQ");
    for (const code of ["US", "SG", "HK", "MT", "XK"]) {
      const spot = world.spots.get(code);
      expect(spot?.x).toBeGreaterThan(0);
      expect(spot?.x).toBeLessThan(WIDTH);
      expect(spot?.y).toBeGreaterThan(0);
      expect(spot?.y).toBeLessThan(HEIGHT);
    }
    expect(world.outlines.every(({ path }) => path.startsWith("M"))).toBe(true);
  });

  it("shades by how many, and what has one is never like what has none", () => {
    expect([0, 1, 40, 400, 1_000].map((count) => levelOf(count, 1_000))).toEqual([0, 1, 1, 4, LEVELS]);
    expect(levelOf(1, 1)).toBe(LEVELS);
  });
});

describe("the pulse of the network", () => {
  function line(): { live: Live; say: (data: NetworkSummary, isNews: boolean) => void } {
    let listen: (data: unknown, isNews: boolean) => void = () => undefined;
    const live = {
      on: (_channel: string, listener: typeof listen) => {
        listen = listener;
        return () => undefined;
      },
      frame: (_key: string, apply: () => void) => apply(),
    } as unknown as Live;
    return { live, say: (data, isNews) => listen(data, isNews) };
  }
  const last = (live: Live): bigint => networkPulse(live).bars.at(-1)?.gain ?? 0n;

  it("is what was confirmed since the value before, and only what came while it was watched", () => {
    const { live, say } = line();
    expect(networkPulse(live)).toBe(networkPulse(live));
    say(summary([], { confirmed_seconds: 1_000 }), false);
    expect(last(live)).toBe(0n);
    say(summary([], { revision: 2, confirmed_seconds: 1_060 }), true);
    expect(last(live)).toBe(60n);
    say(summary([], { revision: 1, confirmed_seconds: 5_000 }), true);
    expect(last(live)).toBe(60n);
  });
});

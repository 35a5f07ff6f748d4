import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import App from "../../App.svelte";
import type { Rewards } from "../../lib/api";
import { type App as Services, createApp } from "../../lib/app";
import { FakeSocket } from "../../testing/fake-socket";

// There is no canvas to draw on here.
vi.mock("uplot", () => ({
  default: class {
    static paths = {};
    setData() {}
    setSize() {}
    destroy() {}
  },
}));

const ADA = { user_id: "u-ada", email: "ada@example.org", display_name: "Ada", role: "user", created_at: "2026-01-01T00:00:00Z", time_zone: "UTC" };
const HUGE = "90071992547409930000001";
const WALLET = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A";
const STATES = { balance: HUGE, pending: "0", held: "0", final: "0", claimable: HUGE, claimed: "0" };
const SERIES = { start: "2026-11-22T00:00:00Z", end: "2026-11-24T00:00:00Z", period: "day", time_zone: "UTC", node_id: null };

let answers: Record<string, () => Response | Promise<Response>>;
let asked: { path: string; init: RequestInit }[];
let page: Record<string, never>;
let app: Services;

const ok = (data: unknown): Response => new Response(JSON.stringify(data), { status: 200 });
const refused = (status: number, code: string, detail: string): Response => new Response(JSON.stringify({ code, detail }), { status });

function rewards(more: Partial<Rewards> = {}): Rewards {
  return { ...STATES, minimum_payout: "1000000", wallet: WALLET, ...more };
}

function find(id: string): HTMLElement {
  const element = document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
  if (element === null) throw new Error(`there is no ${id}`);
  return element;
}

const has = (id: string): boolean => document.querySelector(`[data-testid="${id}"]`) !== null;
const text = (id: string): string => find(id).textContent?.replace(/\s+/g, " ").trim() ?? "";

async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    await vi.advanceTimersByTimeAsync(60);
    flushSync();
    await vi.dynamicImportSettled();
  }
}

async function open(path: string): Promise<void> {
  location.hash = path;
  const fetch = ((address: string, init: RequestInit) => {
    const name = address.replace("/api/v1", "");
    asked.push({ path: name, init });
    return Promise.resolve((answers[name] ?? answers[name.split("?", 1)[0] ?? ""] ?? (() => refused(404, "not_found", "No.")))());
  }) as typeof globalThis.fetch;
  app = createApp(fetch);
  page = mount(App, { target: document.body, props: { app } });
  await settle();
}

async function click(id: string): Promise<void> {
  find(id).click();
  await settle();
}

// The first page brings all modules with it.
vi.setConfig({ testTimeout: 20_000 });

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.opened.length = 0;
  asked = [];
  const overview = { revision: 1, nodes_total: 0, nodes_online: 0, confirmed_seconds: 0, balance: HUGE, accruing: null, nodes: [] };
  answers = {
    "/auth/refresh": () => ok({ access_token: "t", expires_at: new Date(Date.now() + 600_000).toISOString(), user: ADA }),
    "/client": () => ok({ ws_url: null, ws_port: 8081, version: "0.1.0", beat_interval: 10 }),
    "/me/overview": () => ok(overview),
    "/earnings/summary": () => ok({ ...STATES, revision: 1, accruing: null, time_zone: "UTC", booked_until: null, outlooks: [] }),
    "/earnings/series": () => ok({ ...SERIES, amount: "0", points: [] }),
    "/earnings/history": () => ok({ items: [], next_cursor: null }),
    "/rewards": () => ok(rewards()),
  };
});

afterEach(async () => {
  await unmount(page);
  app.router.destroy();
  document.body.replaceChildren();
  location.hash = "";
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("earnings", () => {
  it("are exact beyond what a number holds", async () => {
    await open("/earnings");
    expect(text("earnings-balance")).toContain("90,071,992,547,409,930.000001");
    expect(find("earnings-claimable").dataset.micropoints).toBe(HUGE);
  });

  it("tell a step in which nothing was booked from one that came to 0", async () => {
    const step = { end: "2026-11-23T00:00:00Z", categories: {}, complete: true };
    const points = [
      { ...step, start: "2026-11-21T00:00:00Z", amount: "0", categories: { usage: "0" } },
      { ...step, start: "2026-11-22T00:00:00Z", amount: null },
      { ...step, start: "2026-11-23T00:00:00Z", amount: "5", categories: { usage: "5" } },
    ];
    answers["/earnings/series"] = () => ok({ ...SERIES, amount: "5", points });
    await open("/earnings");
    const rows = [...document.querySelectorAll('[data-testid="earnings-steps-row"]')].map((row) => row.textContent?.replace(/\s+/g, " ") ?? "");
    expect(rows).toHaveLength(3);
    expect(rows[0]).toContain("0.000005");
    expect(rows[1]).toContain("not measured");
    expect(rows[1]).not.toContain("0.000000");
    expect(rows[2]).toContain("0.000000");
  });

  it("say what to do while there is nothing", async () => {
    await open("/earnings");
    expect(text("earnings-none")).toContain("Connect a node");
  });

  it("say what went wrong, and keep what still came", async () => {
    answers["/earnings/series"] = () => refused(500, "internal", "");
    await open("/earnings");
    expect(text("trouble")).toContain("The server had a problem");
    expect(text("earnings-balance")).toContain("points");
  });

  it("ask for the period and the node that the address names", async () => {
    await open("/earnings?period=week&node=n1");
    expect(asked.some(({ path }) => path === "/earnings/series?period=week&node_id=n1")).toBe(true);
  });

  it("know no epoch by a word", async () => {
    await open("/earnings/epochs/<b>7");
    expect(text("epoch-missing")).toContain("There is no such epoch");
    expect(document.querySelector("h1 b")).toBeNull();
  });
});

describe("a claim", () => {
  const claims = () => asked.filter(({ path }) => path === "/rewards/claims");
  const keyOf = ({ init }: { init: RequestInit }) => (init.headers as Record<string, string>)["Idempotency-Key"];
  const receipt = { claim_id: "c-1", claimed_at: "2026-11-23T16:00:00Z", wallet: WALLET, amount: HUGE, categories: [{ category: "usage", amount: HUGE }] };

  it("needs a wallet", async () => {
    answers["/rewards"] = () => ok(rewards({ wallet: null }));
    await open("/rewards");
    expect(has("claim-open")).toBe(false);
    expect(find("link-wallet").getAttribute("href")).toBe("#/settings/wallet");
  });

  it("tells how much is missing to the least amount", async () => {
    answers["/rewards"] = () => ok(rewards({ claimable: "0", final: "250000" }));
    await open("/rewards");
    expect(has("claim-open")).toBe(false);
    expect(document.body.textContent).toContain("0.250000 of 1.000000 points final");
  });

  it("waits until the wallet was compared", async () => {
    await open("/rewards");
    await click("claim-open");
    expect(text("claim-wallet")).toBe("0x 19E7 E376 E7C2 13B7 E7e7 e46c c70A 5dD0 86DA ff2A");
    await click("claim-send");
    expect(claims()).toHaveLength(0);
  });

  it("is sent again under its key when the answer was lost, and under another after that", async () => {
    let lost = true;
    answers["/rewards/claims"] = () => {
      if (!lost) return ok(receipt);
      lost = false;
      throw new TypeError("connection lost");
    };
    await open("/rewards");
    await click("claim-open");
    await click("claim-check");
    await click("claim-send");
    expect(text("claim-trouble")).toContain("cannot be reached");
    await click("claim-send");
    expect(text("claim-amount")).toContain("90,071,992,547,409,930.000001");
    expect(claims().map(keyOf)).toEqual([keyOf(claims()[0]!), keyOf(claims()[0]!)]);
    await click("claim-close");
    await click("claim-open");
    await click("claim-check");
    await click("claim-send");
    expect(keyOf(claims()[2]!)).not.toBe(keyOf(claims()[0]!));
  });

  it("says in words that another page was faster", async () => {
    answers["/rewards/claims"] = () => refused(409, "nothing_to_claim", "There is nothing to claim now.");
    await open("/rewards");
    await click("claim-open");
    await click("claim-check");
    await click("claim-send");
    expect(text("claim-trouble")).toContain("another page of yours");
  });
});

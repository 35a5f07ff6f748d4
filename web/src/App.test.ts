import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import App from "./App.svelte";
import { type App as Services, createApp } from "./lib/app";
import type { Accruing, NetworkSummary, NodeView, Overview } from "./lib/protocol";
import { FakeSocket } from "./testing/fake-socket";

const ADA = { user_id: "u-ada", email: "ada@example.org", display_name: "Ada", role: "user" };
const SUMMARY: NetworkSummary = {
  revision: 1,
  nodes_online: 7,
  nodes_total: 9,
  users_total: 3,
  confirmed_seconds: 60,
  countries: [
    { country: "AT", nodes_online: 1 },
    { country: "DE", nodes_online: 4 },
    { country: null, nodes_online: 2 },
  ],
};

let answers: Record<string, () => Response>;
let sent: Record<string, unknown>;
let page: Record<string, never>;
let app: Services;

const ok = (data: unknown): Response => new Response(JSON.stringify(data), { status: 200 });
const refused = (status: number, code: string, detail: string): Response =>
  new Response(JSON.stringify({ code, detail }), { status });
const signedIn = (): Response =>
  ok({ access_token: "t", expires_at: new Date(Date.now() + 600_000).toISOString(), user: ADA });

function node(id: string, more: Partial<NodeView> = {}): NodeView {
  const since = "2026-11-22T10:00:00Z";
  return { node_id: id, name: id, state: "online", since, confirmed_seconds: 0, ...more };
}

function accruing(amount: string): Accruing {
  const [starts_at, ends_at] = ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"];
  return { epoch: 1, starts_at, ends_at, amount, least: "0", most: amount };
}

function overview(revision: number, nodes: NodeView[], amount = "0", more: Partial<Overview> = {}): Overview {
  return {
    revision,
    nodes_total: nodes.length,
    nodes_online: nodes.filter(({ state }) => state === "online").length,
    confirmed_seconds: nodes.reduce((sum, { confirmed_seconds }) => sum + confirmed_seconds, 0),
    balance: "0",
    accruing: accruing(amount),
    nodes,
    ...more,
  };
}

function find(id: string): HTMLElement {
  const element = document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
  if (element === null) throw new Error(`there is no ${id}`);
  return element;
}

const text = (id: string): string => find(id).textContent?.replace(/\s+/g, " ").trim() ?? "";

/** Let answers arrive and frames pass. */
async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(50);
  flushSync();
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(50);
  flushSync();
}

async function open(): Promise<void> {
  const fetch = ((path: string, init: RequestInit) => {
    if (typeof init.body === "string") sent[path] = JSON.parse(init.body);
    return Promise.resolve((answers[path] ?? (() => refused(404, "not_found", "No.")))());
  }) as typeof globalThis.fetch;
  app = createApp(fetch);
  page = mount(App, { target: document.body, props: { app } });
  await settle();
}

async function openLive(state: Overview): Promise<FakeSocket> {
  await open();
  const peer = FakeSocket.last;
  peer.welcome();
  peer.join();
  peer.say({ type: "snapshot", channel: "me", offset: 1, data: state });
  peer.say({ type: "snapshot", channel: "network", offset: 1, data: SUMMARY });
  await settle();
  return peer;
}

async function follow(link: string): Promise<void> {
  location.hash = link;
  dispatchEvent(new Event("hashchange"));
  await settle();
}

// Compiled once, outside of any test's time.
beforeAll(() => import("./routes/overview/Overview.svelte"), 60_000);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.opened.length = 0;
  location.hash = "";
  sent = {};
  answers = {
    "/api/v1/auth/refresh": signedIn,
    "/api/v1/auth/login": signedIn,
    "/api/v1/auth/logout": () => new Response(null, { status: 204 }),
    "/api/v1/client": () => ok({ ws_url: null, ws_port: 8081, version: "0.1.0", beat_interval: 10 }),
    "/api/v1/nodes/enrolments": () =>
      ok({ token: "secret", expires_at: new Date(Date.now() + 3_600_000).toISOString() }),
  };
});

afterEach(async () => {
  await unmount(page);
  app.router.destroy();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("the overview", () => {
  it("shows what the socket says", async () => {
    await openLive(overview(1, [node("a", { confirmed_seconds: 3_725 }), node("b", { state: "offline" })], "1034722", { balance: "2500000" }));
    expect(find("connection").dataset.state).toBe("live");
    expect(find("accruing").dataset.micropoints).toBe("1034722");
    expect(text("accruing")).toBe("1.034722 points");
    expect(find("balance").dataset.micropoints).toBe("2500000");
    expect(text("balance")).toBe("2.500000 points");
    expect(find("confirmed").dataset.seconds).toBe("3725");
    expect(text("confirmed")).toBe("1h 2m 5s");
    expect([text("nodes-online"), text("nodes-total")]).toEqual(["1", "2"]);
    expect([text("network-online"), text("network-total")]).toEqual(["7", "of 9 enrolled"]);
    expect(document.title).toBe("1/2 · Overview · Pulseboard");
  });

  it("tells 0 from not measured", async () => {
    await openLive(overview(1, [node("zero"), node("never", { state: "offline", since: null })]));
    const amounts = [...document.querySelectorAll('[data-testid="node-confirmed"]')].map(({ textContent }) => textContent?.trim());
    expect(amounts).toEqual(["0s", "–not measured"]);
    expect(text("accruing")).toBe("0.000000 points");
  });

  it("has no total where nothing was measured", async () => {
    await openLive(overview(1, [node("never", { state: "offline", since: null })]));
    expect(text("accruing")).toBe("–not measured points");
    expect(text("confirmed")).toBe("–not measured");
  });

  it("says so when no epoch has begun, and shows the balance", async () => {
    await openLive(overview(1, [node("a")], "0", { accruing: null, balance: "7000000" }));
    expect(text("accruing")).toBe("–not measured points");
    expect(text("balance")).toBe("7.000000 points");
  });

  it("is exact with amounts past what a number holds", async () => {
    await openLive(overview(1, [node("a")], "9007199254740993000001"));
    expect(text("accruing")).toBe("9,007,199,254,740,993.000001 points");
  });

  it("says how a node does in words and not by colour alone", async () => {
    await openLive(
      overview(1, [
        node("steady", { rtt_ms: 23.4 }),
        node("mute", { state: "degraded" }),
        node("shaky", { state: "degraded", flapping: true, rtt_ms: 180 }),
        node("barred", { state: "suspended" }),
        node("away", { state: "offline", rtt_ms: 20 }),
        node("new", { state: "offline", since: null }),
      ]),
    );
    const all = (selector: string) =>
      [...document.querySelectorAll<HTMLElement>(selector)].map(({ textContent }) => textContent?.trim());
    expect(all(".body .word")).toEqual(["Online", "Degraded", "Comes and goes", "Suspended", "Offline", "Never online"]);
    expect(all('[data-testid="node-rtt"]')).toEqual([
      "23.4 ms",
      "–not measured",
      "180 ms",
      "–not measured",
      "–not measured",
      "–not measured",
    ]);
    expect(document.querySelector<HTMLElement>(".body .word[data-state=degraded]")?.title).toContain("challenges");
  });

  it("lists where nodes are online, most first and the unknown last", async () => {
    const peer = await openLive(overview(1, []));
    const shown = () =>
      [...document.querySelectorAll('[data-testid="country"]')].map(({ textContent }) =>
        textContent?.replace(/\s+/g, " ").trim(),
      );
    expect(shown()).toEqual(["Germany 4", "Austria 1", "Unknown place 2"]);
    const codes = ["AT", "BE", "CH", "DE", "ES", "FR", "IT"];
    const countries = codes.map((country, index) => ({ country, nodes_online: index + 1 }));
    peer.say({ type: "event", channel: "network", offset: 2, data: { ...SUMMARY, revision: 2, countries } });
    await settle();
    expect(shown()).toEqual(["Italy 7", "France 6", "Spain 5", "Germany 4", "Switzerland 3"]);
    expect(document.body.textContent).toContain("and 2 more countries");
    peer.say({ type: "event", channel: "network", offset: 3, data: { ...SUMMARY, revision: 3, countries: [] } });
    await settle();
    expect(document.body.textContent).toContain("No node is online.");
  });

  it("takes names for text", async () => {
    await openLive(overview(1, [node("a", { name: '<img src=x onerror="alert(1)">' })]));
    expect(text("node-row")).toContain('<img src=x onerror="alert(1)">');
    expect(find("node-row").querySelector("img")).toBeNull();
  });

  it("moves with newer events only", async () => {
    const peer = await openLive(overview(5, [node("a")], "5"));
    peer.say({ type: "event", channel: "me", offset: 2, data: overview(4, [node("a")], "4") });
    peer.say({ type: "event", channel: "me", offset: 3, data: overview(7, [node("a")], "7") });
    peer.say({ type: "event", channel: "me", offset: 4, data: overview(6, [node("a")], "6") });
    await settle();
    expect(find("accruing").dataset.micropoints).toBe("7");
  });

  it("touches the document once per frame, whatever the rate", async () => {
    const peer = await openLive(overview(1, [node("a")]));
    const seen: (string | undefined)[] = [];
    const observer = new MutationObserver(() => seen.push(find("accruing").dataset.micropoints));
    observer.observe(find("accruing"), { attributes: true });
    for (let n = 2; n <= 500; n += 1) {
      peer.say({ type: "event", channel: "me", offset: n, data: overview(n, [node("a")], String(n)) });
    }
    await settle();
    observer.disconnect();
    expect(seen).toEqual(["500"]);
  });

  it("keeps what it shows while it reconnects, with its age", async () => {
    const peer = await openLive(overview(1, [node("a")], "5"));
    peer.hangUp(1006);
    flushSync();
    expect(find("connection").dataset.state).toBe("connecting");
    expect(text("connection")).toContain("Reconnecting");
    expect(text("connection")).toContain("figures are 0s old");
    expect(find("accruing").dataset.micropoints).toBe("5");
  });
});

describe("the first node", () => {
  it("is asked for with a command and greeted when it comes", async () => {
    const peer = await openLive(overview(1, []));
    find("add-node").click();
    await settle();
    expect(text("enrol-command")).toBe(`pulseboard agent --server ${location.origin} --enrol secret`);
    expect(find("enrol-seen").dataset.seen).toBe("false");
    peer.say({ type: "event", channel: "me", offset: 2, data: overview(1, [node("attic")]) });
    await settle();
    expect(find("enrol-seen").dataset.seen).toBe("true");
    expect(text("enrol-seen")).toContain("We see it: attic");
    find("enrol-close").click();
    flushSync();
    expect(document.querySelector('[data-testid="enrol-command"]')).toBeNull();
    expect(find("node-row").dataset.nodeId).toBe("attic");
  });

  it("can be tried again when the server refuses", async () => {
    await openLive(overview(1, []));
    answers["/api/v1/nodes/enrolments"] = () => refused(503, "unavailable", "Away.");
    find("add-node").click();
    await settle();
    expect(document.querySelector('[role="alert"]')?.textContent).toContain("Nothing was lost");
    expect((find("add-node") as HTMLButtonElement).disabled).toBe(false);
  });
});

describe("the shell", () => {
  function press(key: string, more: KeyboardEventInit = {}, target: EventTarget = window): void {
    target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  }

  it("runs what is chosen in the command palette by keys alone", async () => {
    await openLive(overview(1, []));
    const before = app.theme.current;
    press("k", { ctrlKey: true });
    await settle();
    const input = find("palette-input") as HTMLInputElement;
    input.value = "colours";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    await settle();
    press("Enter", {}, input);
    await settle();
    expect(app.theme.current).not.toBe(before);
    expect(app.commands.open).toBe(false);
    app.theme.toggle();
  });

  it("changes the language of everything at once, and of the profile", async () => {
    await openLive(overview(1, []));
    answers["/api/v1/me"] = () => ok({ ...ADA, locale: "ar" });
    find("language-ar").click();
    await settle();
    await settle();
    expect(document.documentElement.dir).toBe("rtl");
    expect(text("logout")).toBe("تسجيل الخروج");
    expect(sent["/api/v1/me"]).toEqual({ locale: "ar" });
    find("language-en").click();
    await settle();
    expect(document.documentElement.dir).toBe("ltr");
    localStorage.clear();
  });

  it("shows how old everything is once a break lasts, and no sooner", async () => {
    const peer = await openLive(overview(1, []));
    peer.hangUp(1006);
    await vi.advanceTimersByTimeAsync(2_000);
    flushSync();
    expect(document.querySelector('[data-testid="banner"]')).toBeNull();
    await vi.advanceTimersByTimeAsync(5_000);
    flushSync();
    expect(text("banner")).toMatch(/What you see is \d+s old/);
  });

  it("says news of people's own making as they are, however long", async () => {
    await openLive(overview(1, []));
    app.toasts.show("<b>" + "long ".repeat(2_000), { priority: "loud" });
    for (let count = 0; count < 9; count += 1) app.toasts.show(`news ${count}`);
    flushSync();
    const toasts = [...document.querySelectorAll('[data-testid="toast"]')];
    expect(toasts).toHaveLength(4);
    expect(toasts[0]?.textContent).toContain("<b>long");
    await vi.advanceTimersByTimeAsync(10_000);
    flushSync();
    expect(document.querySelectorAll('[data-testid="toast"]')).toHaveLength(1);
  });
});

describe("signing in", () => {
  beforeEach(() => {
    answers["/api/v1/auth/refresh"] = () => refused(401, "refresh_invalid", "No.");
  });

  function type(id: string, value: string): void {
    const input = find(id) as HTMLInputElement;
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  it("says what is missing before it asks the server", async () => {
    await open();
    find("login-submit").click();
    await settle();
    expect(sent).toEqual({});
    expect(document.querySelectorAll('[aria-invalid="true"]')).toHaveLength(2);
    expect(document.activeElement).toBe(find("login-email"));
  });

  it("says why it failed and keeps what was typed", async () => {
    await open();
    answers["/api/v1/auth/login"] = () => refused(401, "invalid_credentials", "No.");
    type("login-email", "ada@example.org");
    type("login-password", "not it");
    find("login-submit").click();
    await settle();
    expect(text("form-error")).toContain("The e-mail address or the password is wrong");
    expect((find("login-password") as HTMLInputElement).value).toBe("not it");
  });

  it("leads to the overview, and out again", async () => {
    await open();
    type("login-email", "ada@example.org");
    type("login-password", "correct horse battery");
    find("login-submit").click();
    await settle();
    expect(FakeSocket.opened).toHaveLength(1);
    find("logout").click();
    await settle();
    expect(FakeSocket.last.closedWith).toBe(1000);
    expect(find("login-email")).toBeTruthy();
  });

  it("asks for the second factor when there is one", async () => {
    await open();
    answers["/api/v1/auth/login"] = () => refused(401, "second_factor_required", "A code is needed.");
    type("login-email", "ada@example.org");
    type("login-password", "correct horse battery");
    find("login-submit").click();
    await settle();
    expect(document.activeElement).toBe(find("login-code"));
    answers["/api/v1/auth/login"] = () => refused(401, "second_factor_invalid", "No.");
    type("login-code", "000000");
    find("login-submit").click();
    await settle();
    expect(text("form-error")).toContain("This code is wrong");
    answers["/api/v1/auth/login"] = signedIn;
    type("login-code", "123456");
    find("login-submit").click();
    await settle();
    expect(sent["/api/v1/auth/login"]).toMatchObject({ code: "123456", cookie: true });
    expect(find("connection")).toBeTruthy();
  });

  it("goes back from the second factor, and takes a recovery code instead of an app's", async () => {
    await open();
    answers["/api/v1/auth/login"] = () => refused(401, "second_factor_required", "A code is needed.");
    type("login-email", "ada@example.org");
    type("login-password", "correct horse battery");
    find("login-submit").click();
    await settle();
    expect(find("login-code").getAttribute("inputmode")).toBe("numeric");
    find("login-recovery").click();
    await settle();
    expect(find("login-code").getAttribute("inputmode")).toBe("text");
    expect(document.activeElement).toBe(find("login-code"));
    find("login-back").click();
    await settle();
    expect((find("login-email") as HTMLInputElement).value).toBe("ada@example.org");
    expect(document.activeElement).toBe(find("login-password"));
  });

  describe("with a referral code", () => {
    afterEach(() => sessionStorage.clear());

    it("looks the link's code up and sends it along, also after a look at the sign-in", async () => {
      location.hash = "#/signup?code=aurora";
      answers["/api/v1/referrals/codes/aurora"] = () => ok({ code: "Aurora" });
      answers["/api/v1/auth/register"] = () => ok({ detail: "On its way." });
      await open();
      expect(document.getElementById("referral-note")?.textContent).toContain("Aurora");
      await follow("#/login");
      await follow("#/signup");
      type("signup-name", "Ada");
      type("signup-email", "ada@example.org");
      type("signup-password", "correct horse battery");
      find("signup-submit").click();
      await settle();
      expect(sent["/api/v1/auth/register"]).toMatchObject({ referral_code: "aurora" });
      expect(sessionStorage).toHaveLength(0);
    });

    it("says that there is none like that, and goes on without", async () => {
      location.hash = `#/signup?code=${encodeURIComponent("<b>../\u202e")}`;
      await open();
      expect(find("signup-referral").getAttribute("aria-invalid")).toBe("true");
      expect(document.getElementById("referral-note")?.textContent).toContain("no such code");
      type("signup-referral", "");
      await settle();
      expect(find("signup-referral").getAttribute("aria-invalid")).toBeNull();
    });
  });

  it("follows a sign-up and the link that comes by mail", async () => {
    location.hash = "#/signup";
    answers["/api/v1/auth/register"] = () => refused(400, "password_common", "Common.");
    await open();
    type("signup-name", "Ada");
    type("signup-email", "ada@example.org");
    type("signup-password", "correct horse battery");
    find("signup-submit").click();
    await settle();
    expect(text("form-error")).toContain("tried first");
    answers["/api/v1/auth/register"] = () => ok({ detail: "On its way." });
    find("signup-submit").click();
    await settle();
    expect(sent["/api/v1/auth/register"]).toEqual({
      email: "ada@example.org",
      password: "correct horse battery",
      display_name: "Ada",
      locale: "en",
    });
    expect(document.body.textContent).toContain("ada@example.org");
    expect(find("mail-sent")).toBeTruthy();
    answers["/api/v1/auth/verify-email"] = () => new Response(null, { status: 204 });
    await follow("#/verify?token=abc");
    expect(sent["/api/v1/auth/verify-email"]).toEqual({ token: "abc" });
    expect(find("link-to-login")).toBeTruthy();
  });

  it("says that a link has served, and takes its token out of the address", async () => {
    location.hash = "#/verify?token=spent";
    answers["/api/v1/auth/verify-email"] = () => refused(400, "link_invalid", "Spent.");
    await open();
    expect(text("link-trouble")).toContain("served already");
    expect(location.hash).toBe("#/verify");
  });

  it("confirms a change of address, one link after the other", async () => {
    answers["/api/v1/auth/email/confirm"] = () => ok({ state: "half" });
    location.hash = "#/confirm-email?token=old";
    await open();
    expect(document.body.textContent).toContain("Half done");
    answers["/api/v1/auth/email/confirm"] = () => ok({ state: "changed" });
    await follow("#/confirm-email?token=new");
    expect(sent["/api/v1/auth/email/confirm"]).toEqual({ token: "new" });
    expect(document.body.textContent).toContain("address is changed");
  });

  it("replaces a forgotten password", async () => {
    location.hash = "#/forgot";
    answers["/api/v1/auth/password/forgot"] = () => ok({ detail: "On its way." });
    await open();
    type("forgot-email", "ada@example.org");
    find("forgot-submit").click();
    await settle();
    expect(find("mail-sent")).toBeTruthy();
    answers["/api/v1/auth/password/reset"] = () => new Response(null, { status: 204 });
    await follow("#/reset?token=abc");
    type("reset-password", "short");
    find("reset-submit").click();
    await settle();
    expect(sent["/api/v1/auth/password/reset"]).toBeUndefined();
    type("reset-password", "a long enough password");
    find("reset-submit").click();
    await settle();
    expect(sent["/api/v1/auth/password/reset"]).toEqual({ token: "abc", password: "a long enough password" });
    expect(find("link-to-login")).toBeTruthy();
  });

  it("is asked for again when the server ends the session", async () => {
    answers["/api/v1/auth/refresh"] = signedIn;
    const peer = await openLive(overview(1, []));
    answers["/api/v1/auth/refresh"] = () => refused(401, "refresh_invalid", "No.");
    peer.hangUp(4503);
    await settle();
    expect(find("login-email")).toBeTruthy();
    expect(document.body.textContent).toContain("Your session has ended");
  });
});

it("waits for a server out of reach and goes on by itself", async () => {
  answers["/api/v1/auth/refresh"] = () => refused(503, "unavailable", "Away.");
  await open();
  expect(document.querySelector('[role="alert"]')?.textContent).toContain("cannot be reached");
  answers["/api/v1/auth/refresh"] = signedIn;
  await vi.advanceTimersByTimeAsync(4_000);
  flushSync();
  expect(find("connection")).toBeTruthy();
});

it("says so at an address that has no page", async () => {
  location.hash = "#/nowhere";
  await open();
  expect(document.querySelector("h1")?.textContent).toBe("There is no such page");
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Answer, Http, Request } from "./http";
import { Problem, Unreachable } from "./problem";
import { Session, SignedOut } from "./session.svelte";

const ADA = { user_id: "u-ada", email: "ada@example.org", display_name: "Ada", role: "user" };
const BOB = { user_id: "u-bob", email: "bob@example.org", display_name: "Bob", role: "user" };

type Handler = (request: Request) => unknown;

let calls: { path: string; request: Request }[];
let handlers: Record<string, Handler>;
let issued: number;
let serverTime: number | null;
const sessions: Session[] = [];

const http = (async (path: string, request: Request = {}): Promise<Answer<unknown>> => {
  calls.push({ path, request });
  await Promise.resolve();
  const handler = handlers[path];
  if (handler === undefined) throw new Problem(404, "not_found", "There is no such thing.");
  return { data: handler(request), serverTime, etag: null, unchanged: false };
}) as Http;

function signedIn(user = ADA, lifeMs = 600_000): unknown {
  issued += 1;
  const now = serverTime ?? Date.now();
  return { access_token: `token-${issued}`, expires_at: new Date(now + lifeMs).toISOString(), user };
}

function refuse(status: number, code: string): never {
  throw new Problem(status, code, "No.");
}

function makeSession(): Session {
  const session = new Session(http);
  sessions.push(session);
  return session;
}

beforeEach(() => {
  vi.useFakeTimers();
  calls = [];
  issued = 0;
  serverTime = null;
  handlers = { "/auth/login": () => signedIn(), "/auth/refresh": () => signedIn(), "/auth/logout": () => null };
});

afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
  vi.useRealTimers();
});

describe("restoring", () => {
  it("takes up the session of the cookie", async () => {
    const session = makeSession();
    expect(session.status).toBe("restoring");
    await session.restore();
    expect(session.status).toBe("in");
    expect(session.user).toEqual(ADA);
  });

  it("is signed out without a word when there is none", async () => {
    handlers["/auth/refresh"] = () => refuse(401, "refresh_invalid");
    const session = makeSession();
    await session.restore();
    expect(session.status).toBe("out");
    expect(session.ended).toBe(false);
  });

  it("does not take a server out of reach for a missing session", async () => {
    handlers["/auth/refresh"] = () => {
      throw new Unreachable(null);
    };
    const session = makeSession();
    await expect(session.restore()).rejects.toBeInstanceOf(Unreachable);
    expect(session.status).toBe("restoring");
  });
});

describe("tokens", () => {
  it("are used until shortly before their end", async () => {
    const session = makeSession();
    await session.login("ada@example.org", "secret");
    expect(await session.token()).toBe("token-1");
    vi.advanceTimersByTime(580_000);
    expect(await session.token()).toBe("token-1");
    vi.advanceTimersByTime(10_000);
    expect(await session.token()).toBe("token-2");
  });

  it("live as long as the server says, however wrong this clock is", async () => {
    serverTime = Date.now() + 365 * 86_400_000;
    const session = makeSession();
    await session.login("ada@example.org", "secret");
    expect(await session.token()).toBe("token-1");
    vi.advanceTimersByTime(590_000);
    expect(await session.token()).toBe("token-2");
  });

  it("are renewed once for all who ask at the same time", async () => {
    const session = makeSession();
    await Promise.all([session.renew(), session.renew(), session.token()]);
    expect(calls.filter(({ path }) => path === "/auth/refresh")).toHaveLength(1);
  });

  it("are asked for again when another tab was faster", async () => {
    let asked = 0;
    handlers["/auth/refresh"] = () => (++asked === 1 ? refuse(409, "refresh_raced") : signedIn());
    const renewed = makeSession().renew();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await renewed).toBe("token-1");
    expect(asked).toBe(2);
  });

  it("are not asked for a third time", async () => {
    handlers["/auth/refresh"] = () => refuse(409, "refresh_raced");
    const renewed = makeSession().renew().catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await renewed).toMatchObject({ code: "refresh_raced" });
    expect(calls).toHaveLength(2);
  });

  it("end the session when the server refuses to renew them", async () => {
    const session = makeSession();
    await session.login("ada@example.org", "secret");
    handlers["/auth/refresh"] = () => refuse(401, "refresh_reused");
    await expect(session.renew()).rejects.toBeInstanceOf(SignedOut);
    expect(session.status).toBe("out");
    expect(session.ended).toBe(true);
    expect(session.user).toBeNull();
  });

  it("that are refused are renewed once and presented again", async () => {
    const session = makeSession();
    await session.login("ada@example.org", "secret");
    handlers["/me"] = ({ token }) => (token === "token-1" ? refuse(401, "token_expired") : "me");
    expect(await session.ask("/me")).toBe("me");
    handlers["/me"] = () => refuse(401, "token_invalid");
    await expect(session.ask("/me")).rejects.toMatchObject({ status: 401 });
  });
});

describe("signing in and out", () => {
  it("asks for a cookie", async () => {
    await makeSession().login("ada@example.org", "secret");
    expect(calls[0]?.request.body).toEqual({ email: "ada@example.org", password: "secret", cookie: true });
  });

  it("leaves everything as it is when it fails", async () => {
    handlers["/auth/login"] = () => refuse(401, "invalid_credentials");
    const session = makeSession();
    await expect(session.login("ada@example.org", "wrong")).rejects.toMatchObject({ code: "invalid_credentials" });
    expect(session.user).toBeNull();
  });

  it("stays signed in when the server cannot be told", async () => {
    const session = makeSession();
    await session.login("ada@example.org", "secret");
    handlers["/auth/logout"] = () => {
      throw new Unreachable(null);
    };
    await expect(session.logout()).rejects.toBeInstanceOf(Unreachable);
    expect(session.status).toBe("in");
    handlers["/auth/logout"] = () => refuse(401, "token_expired");
    await session.logout();
    expect(session.status).toBe("out");
    expect(session.ended).toBe(false);
  });

  it("reaches the other tabs", async () => {
    vi.useRealTimers();
    const [here, there] = [makeSession(), makeSession()];
    await Promise.all([here.restore(), there.restore()]);
    await here.logout();
    await vi.waitFor(() => expect(there.status).toBe("out"));
    handlers["/auth/login"] = handlers["/auth/refresh"] = () => signedIn(BOB);
    await here.login("bob@example.org", "secret");
    await vi.waitFor(() => expect(there.user).toEqual(BOB));
  });
});

import type { Profile, RegisterRequest } from "./api";
import type { Answer, Http, Request } from "./http";
import { Problem } from "./problem";

/** What `POST /auth/login` and `/auth/refresh` answer. */
interface SignedIn {
  access_token: string;
  expires_at: string;
  user: Profile;
}

/** There is no session any more: nothing but signing in helps. */
export class SignedOut extends Error {
  constructor() {
    super("signed out");
    this.name = "SignedOut";
  }
}

/** How long a token must still be good for to be presented, in milliseconds. */
const MARGIN_MS = 15_000;
/** How long to leave another tab the time to store its new refresh cookie, in milliseconds. */
const RACE_MS = 250;
const LOCK = "pulseboard.refresh";
const CHANNEL = "pulseboard.session";

interface Token {
  text: string;
  /** By this machine's clock, which may be wrong: only differences to it are used. */
  endsAt: number;
}

/**
 * Who is signed in. The access token lives in memory only; the refresh token is a cookie that no
 * script sees, so a reload restores the session by asking for a new access token.
 *
 * Tabs share the cookie: refreshes are serialised by a Web Lock where the browser has them, and
 * signing in or out in one tab reaches the others.
 */
export class Session {
  status: "restoring" | "in" | "out" = $state("restoring");
  user: Profile | null = $state.raw(null);
  /** Signed out without being asked to. */
  ended = $state(false);

  readonly #http: Http;
  readonly #tabs: BroadcastChannel | null;
  #token: Token | null = null;
  #refreshing: Promise<string> | null = null;

  constructor(http: Http) {
    this.#http = http;
    this.#tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel(CHANNEL) : null;
    this.#tabs?.addEventListener("message", this.#heard);
  }

  /**
   * Take up the session of the cookie, if there is one: settles `status`.
   *
   * Rejects with `Problem` or `Unreachable` when the server cannot tell; `status` then stays.
   */
  async restore(): Promise<void> {
    try {
      await this.renew();
    } catch (error) {
      if (!(error instanceof SignedOut)) throw error;
      this.ended = false; // there was none to end
    }
  }

  /** Sign in; `code` is that of the second factor. Rejects with `Problem` or `Unreachable`. */
  async login(email: string, password: string, code?: string): Promise<void> {
    this.#accept(
      await this.#http<SignedIn>("/auth/login", {
        method: "POST",
        body: { email, password, cookie: true, ...(code === undefined ? {} : { code }) },
      }),
    );
    this.#tabs?.postMessage("in");
  }

  /**
   * Ask for an account; the link that comes by mail makes it. Settles alike whether the address has an
   * account or not. Rejects with `Problem` or `Unreachable`.
   */
  async register(request: RegisterRequest): Promise<void> {
    await this.#http("/auth/register", { method: "POST", body: request });
  }

  /** Sign out everywhere in this browser. Rejects, still signed in, when the server cannot be told. */
  async logout(): Promise<void> {
    const token = this.#token?.text;
    try {
      await this.#http("/auth/logout", { method: "POST", ...(token === undefined ? {} : { token }) });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
    }
    this.#leave(false);
    this.#tabs?.postMessage("out");
  }

  /** The session is over, the server said so. */
  end(): void {
    if (this.status !== "out") this.#leave(true);
  }

  /** An access token that is good for a while. Rejects with `SignedOut`, `Problem` or `Unreachable`. */
  async token(): Promise<string> {
    const token = this.#token;
    return token !== null && token.endsAt - Date.now() > MARGIN_MS ? token.text : this.renew();
  }

  /** A new access token; concurrent calls share one. Rejects like `token`. */
  renew(): Promise<string> {
    this.#refreshing ??= this.#refreshAlone().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Ask the API as this person; a token that is refused is renewed once. Rejects like `token`. */
  async ask<T>(path: string, request: Request = {}): Promise<T> {
    return (await this.answer<T>(path, request)).data;
  }

  /** Like `ask`, with what came along. */
  async answer<T>(path: string, request: Request = {}): Promise<Answer<T>> {
    const token = await this.token();
    try {
      return await this.#http<T>(path, { ...request, token });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401 || !error.code.startsWith("token_")) throw error;
    }
    return this.#http<T>(path, { ...request, token: await this.renew() });
  }

  /** The profile was changed to this. */
  learn(user: Profile): void {
    if (this.user?.user_id === user.user_id) this.user = user;
  }

  /** Let go of the other tabs. */
  destroy(): void {
    this.#tabs?.close();
  }

  #refreshAlone(): Promise<string> {
    // Only secure contexts have locks; elsewhere the server's answer to a race does.
    const locks = globalThis.navigator?.locks;
    return locks ? locks.request(LOCK, () => this.#refresh()) : this.#refresh();
  }

  async #refresh(): Promise<string> {
    try {
      return this.#accept(await this.#askForToken());
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      this.end();
      throw new SignedOut();
    }
  }

  async #askForToken(): Promise<Answer<SignedIn>> {
    try {
      return await this.#http<SignedIn>("/auth/refresh", { method: "POST" });
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "refresh_raced") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RACE_MS));
    return this.#http<SignedIn>("/auth/refresh", { method: "POST" });
  }

  #accept({ data, serverTime }: Answer<SignedIn>): string {
    const now = Date.now();
    this.#token = {
      text: data.access_token,
      endsAt: now + Date.parse(data.expires_at) - (serverTime ?? now),
    };
    this.user = data.user;
    this.status = "in";
    this.ended = false;
    return data.access_token;
  }

  #leave(ended: boolean): void {
    this.#token = null;
    this.user = null;
    this.status = "out";
    this.ended = ended;
  }

  #heard = ({ data }: MessageEvent): void => {
    if (data === "out" && this.status === "in") this.#leave(false);
    // Also when signed in: it may be somebody else now.
    if (data === "in") void this.restore().catch(() => undefined);
  };
}

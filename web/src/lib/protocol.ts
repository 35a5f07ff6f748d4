// The WebSocket protocol v1, rendered from core/messages.py by web/generate_types.py. Do not edit.

export const JSON_SUBPROTOCOL = "pulseboard.v1.json";
export const BEARER_PREFIX = "bearer.";
export const NODES_SHOWN = 200;

export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  UNSUPPORTED_DATA: 1003,
  INVALID_TEXT: 1007,
  MESSAGE_TOO_BIG: 1009,
  INTERNAL_ERROR: 1011,
  DRAIN: 4001,
  SLOW_CONSUMER: 4008,
  NO_PONG: 4012,
  UNAUTHENTICATED: 4501,
  AUTH_TIMEOUT: 4502,
  REVOKED: 4503,
  CONNECTION_LIMIT: 4504,
  BAD_MESSAGE: 4505,
  RATE_LIMIT: 4506,
} as const;

/** Close codes from here on mean: do not come back like this. */
export const FIRST_FINAL_CODE = 4500;

/**
 * What the epochs that are not closed yet will pay: an estimate in micro-points, not booked.
 *
 * They are `epoch`, which is closed next, and, if it has ended already, those after it up to now;
 * `starts_at` is its beginning, `ends_at` the end of the newest. `amount` is one's share of what their
 * pools accrued until now. The closes book `least` or more, as long as no score of one's nodes falls and
 * all the others do not work at more than twice the pace they had; and `most` or less, as long as one's own
 * nodes do not.
 */
export interface Accruing {
  epoch: number;
  starts_at: string;
  ends_at: string;
  amount: string;
  least: string;
  most: string;
}

/** Present an access token: first message of a connection, or a renewal on a living one. */
export interface Auth {
  type: "auth";
  token: string;
  resume?: Resume | null;
}

/** A node's telemetry since its last beat. Bytes and errors are counts. */
export interface Beat {
  type: "beat";
  bytes_up: number;
  bytes_down: number;
  errors?: number;
  agent_version?: string;
}

/** Ask a service: answered with a `Result` or an `Error` of the same `id`. */
export interface Call {
  type: "call";
  id: number;
  method: string;
  params?: Record<string, unknown>;
}

/** Sign `challenge_bytes(nonce, node, session)` before `deadline`. */
export interface Challenge {
  type: "challenge";
  nonce: string;
  deadline: string;
}

/** A node's Ed25519 signature over `challenge_bytes` of the nonce it was sent. */
export interface ChallengeReply {
  type: "challenge_reply";
  nonce: string;
  signature: string;
}

/** Nodes online in a country now. `country` is an ISO 3166-1 code, None: it is not known where. */
export interface CountryCount {
  country: string | null;
  nodes_online: number;
}

/**
 * An epoch was closed, and all it pays is booked: data of channel ``epoch``.
 *
 * `nodes` and `users` are how many had a part in it.
 */
export interface EpochClosed {
  number: number;
  starts_at: string;
  ends_at: string;
  closed_at: string;
  nodes: number;
  users: number;
  pools: PoolClosed[];
}

/**
 * What was refused: the same `code` and `detail` as the HTTP problem.
 *
 * `id` names the call, if it was one.
 */
export interface Error {
  type: "error";
  code: string;
  detail: string;
  id?: number;
}

/** The channel's news at `offset`. */
export interface Event {
  type: "event";
  channel: string;
  offset: number;
  data: unknown;
}

/** What the server accepts: bytes of a message, subscriptions of a connection. */
export interface Limits {
  message_bytes: number;
  subscriptions: number;
}

/**
 * The whole network: data of channel ``network`` and of ``GET /network/summary``.
 *
 * `countries` are those with a node online, by code, the unknown last.
 */
export interface NetworkSummary {
  revision: number;
  nodes_online: number;
  nodes_total: number;
  users_total: number;
  confirmed_seconds: number;
  countries: CountryCount[];
}

/**
 * A node as its owner sees it. `since` is the time of the last change of `state`.
 *
 * `state` is online, degraded, offline or suspended; `flapping` says that it comes and goes too often.
 * `rtt_ms` and `jitter_ms` are of the newest round trip; `country` is an ISO 3166-1 code. None: it was
 * not measured, or is not known.
 */
export interface NodeView {
  node_id: string;
  name: string;
  state: string;
  since: string | null;
  confirmed_seconds: number;
  flapping?: boolean;
  country?: string | null;
  rtt_ms?: number | null;
  jitter_ms?: number | null;
}

/**
 * A user's whole live state: data of channel ``me`` and of ``GET /me/overview``.
 *
 * `balance` (micro-points) is all that is booked, `accruing` what comes on top; None: no epoch has begun.
 * `nodes` lists the first `NODES_SHOWN`. A greater `revision` is newer.
 */
export interface Overview {
  revision: number;
  nodes_total: number;
  nodes_online: number;
  confirmed_seconds: number;
  balance: string;
  accruing: Accruing | null;
  nodes: NodeView[];
}

/** Answered with `Pong`; browsers cannot send control pings. */
export interface Ping {
  type: "ping";
}

/** The answer to `Ping`. */
export interface Pong {
  type: "pong";
  server_time: string;
}

/** What an epoch had for a category, in micro-points: `pool` = `rewarded` + `unallocated`. */
export interface PoolClosed {
  category: string;
  pool: string;
  rewarded: string;
  unallocated: string;
}

/** The server drains: leave and come back after `after_ms` milliseconds. */
export interface Reconnect {
  type: "reconnect";
  after_ms: number;
  resume?: string | null;
}

/** The answer to the call `id`. */
export interface Result {
  type: "result";
  id: number;
  data: unknown;
}

/** Where a former session stood: its id and the last offset seen of each channel. */
export interface Resume {
  session: string;
  channels?: Record<string, number>;
}

/** The channel's whole state at `offset`. */
export interface Snapshot {
  type: "snapshot";
  channel: string;
  offset: number;
  data: unknown;
}

/** Join a channel, from `offset` of `epoch` on if known. */
export interface Subscribe {
  type: "subscribe";
  channel: string;
  offset?: number | null;
  epoch?: string | null;
}

/** A subscription stands. Not `recovered` means that a `Snapshot` follows. */
export interface Subscribed {
  type: "subscribed";
  channel: string;
  offset: number;
  epoch: string;
  recovered: boolean;
}

/** The token ends at `expires`: refresh it and send `Auth` again on this socket. */
export interface TokenExpiring {
  type: "token_expiring";
  expires: string;
}

/** Leave a channel. */
export interface Unsubscribe {
  type: "unsubscribe";
  channel: string;
}

/** Sent once the token is accepted. `ping_interval` is in seconds. */
export interface Welcome {
  type: "welcome";
  session: string;
  worker: string;
  server_time: string;
  ping_interval: number;
  token_expires: string;
  limits: Limits;
}

export type ClientMessage =
  | Auth
  | Subscribe
  | Unsubscribe
  | Beat
  | ChallengeReply
  | Call
  | Ping;

export type ServerMessage =
  | Welcome
  | Subscribed
  | Snapshot
  | Event
  | Challenge
  | Result
  | Error
  | TokenExpiring
  | Reconnect
  | Pong;

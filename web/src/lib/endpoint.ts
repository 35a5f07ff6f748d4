import type { Api } from "./api";
import type { Request } from "./http";

/** An endpoint as the API's types name it: method, space, path. */
export type Endpoint = keyof Api;
export type Reading = Extract<Endpoint, `GET ${string}`>;
export type Answered<E extends Endpoint> = Api[E]["answer"];

type Given<Name extends string, Value> = [Value] extends [never]
  ? object
  : object extends Value
    ? { [K in Name]?: Value }
    : { [K in Name]: Value };

/** What an endpoint is asked with: its parameters and its body, where it has any. */
export type Asked<E extends Endpoint> = Given<"path", Api[E]["path"]> &
  Given<"query", Api[E]["query"]> &
  Given<"body", Api[E]["body"]> & {
    /** Of a write that may be sent again: the same key, the same deed (see `newKey`). */
    idempotencyKey?: string;
    /** The version that is to be changed. */
    ifMatch?: string;
  };

/** The arguments of a call: nothing to give, nothing to write. */
export type Arguments<E extends Endpoint> = object extends Asked<E> ? [asked?: Asked<E>] : [asked: Asked<E>];

interface Parts {
  path?: Readonly<Record<string, string | number>>;
  query?: Readonly<Record<string, string | number | boolean | null | undefined>>;
  body?: unknown;
  idempotencyKey?: string;
  ifMatch?: string;
}

/** The address of an endpoint below the API's, with its parameters; null and undefined are left out. */
export function addressOf<E extends Endpoint>(endpoint: E, asked?: Pick<Parts, "path" | "query">): string {
  const template = endpoint.slice(endpoint.indexOf(" ") + 1);
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(asked?.path?.[name])));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked?.query ?? {})) {
    if (value !== null && value !== undefined) query.set(name, String(value));
  }
  return query.size > 0 ? `${path}?${query}` : path;
}

/** Path and request for `Session.ask`. */
export function requestOf<E extends Endpoint>(endpoint: E, asked: Parts = {}): [path: string, request: Request] {
  const headers: Record<string, string> = {};
  if (asked.idempotencyKey !== undefined) headers["Idempotency-Key"] = asked.idempotencyKey;
  if (asked.ifMatch !== undefined) headers["If-Match"] = asked.ifMatch;
  const method = endpoint.slice(0, endpoint.indexOf(" ")) as NonNullable<Request["method"]>;
  return [
    addressOf(endpoint, asked),
    { method, headers, ...(asked.body === undefined ? {} : { body: asked.body }) },
  ];
}

/** A key for a write that moves value: make it when the form opens, use it for every attempt. */
export function newKey(): string {
  const bits = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bits, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

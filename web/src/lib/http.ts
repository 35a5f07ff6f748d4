import { OUTSIDE } from "./api";
import { Problem, Unreachable } from "./problem";

export interface Request {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  /** An access token to present. */
  token?: string;
  /** Further headers, by name. */
  headers?: Readonly<Record<string, string>>;
  /** A file is asked for: its text is what is answered, and it may take longer. */
  file?: boolean;
}

export interface Answer<T> {
  data: T;
  /** The server's clock (milliseconds since the epoch) when it answered, if it told. */
  serverTime: number | null;
  /** The version of what was answered, if it has one. */
  etag: string | null;
  /** What was asked for with `If-None-Match` has not changed; `data` is null then. */
  unchanged: boolean;
}

export type Http = <T>(path: string, request?: Request) => Promise<Answer<T>>;

const TIME_OUT_MS = 15_000;
const FILE_TIME_OUT_MS = 180_000;

/**
 * The way to the API under `base`: JSON in and out, always from the server, never from a cache.
 *
 * Rejects with `Problem` when the server refuses and with `Unreachable` when it does not answer.
 */
export function httpClient(base: string, fetch: typeof globalThis.fetch): Http {
  return async <T>(path: string, { method = "GET", body, token, headers: more, file = false }: Request = {}) => {
    const accept = file ? "*/*" : "application/json, application/problem+json";
    const headers: Record<string, string> = { Accept: accept, ...more };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (token !== undefined) headers.Authorization = `Bearer ${token}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(addressOf(base, path), {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        cache: "no-store",
        credentials: "same-origin",
        signal: AbortSignal.timeout(file ? FILE_TIME_OUT_MS : TIME_OUT_MS),
      });
      text = await response.text();
    } catch (error) {
      throw new Unreachable(error);
    }
    const data = file && response.ok ? text : parse(text);
    const unchanged = response.status === 304;
    if (!response.ok && !unchanged) throw problem(response, data);
    const date = Date.parse(response.headers.get("Date") ?? "");
    return {
      data: data as T,
      serverTime: Number.isNaN(date) ? null : date,
      etag: response.headers.get("ETag"),
      unchanged,
    };
  };
}

function addressOf(base: string, path: string): string {
  return OUTSIDE.includes(path.split("?", 1)[0] ?? "") ? path : base + path;
}

function parse(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null; // a proxy's HTML page, say
  }
}

function problem(response: Response, data: unknown): Problem {
  const { code, detail, ...extra } = (typeof data === "object" && data !== null ? data : {}) as Record<
    string,
    unknown
  >;
  const retryAfter = response.headers.get("Retry-After");
  if (retryAfter !== null) extra.retry_after ??= retryAfter;
  return new Problem(
    response.status,
    typeof code === "string" ? code : `http_${response.status}`,
    typeof detail === "string" ? detail : "",
    extra,
  );
}

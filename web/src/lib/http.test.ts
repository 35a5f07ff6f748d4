import { expect, it } from "vitest";

import { httpClient } from "./http";
import { inWords, Problem, Unreachable } from "./problem";

function answering(status: number, body: string, headers: Record<string, string> = {}) {
  const seen: { url: string; init: RequestInit }[] = [];
  const http = httpClient("http://page/api/v1", ((url: string, init: RequestInit) => {
    seen.push({ url, init });
    return Promise.resolve(new Response(status === 204 ? null : body, { status, headers }));
  }) as typeof fetch);
  return { http, seen };
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.unreachable("it was not refused"),
    (error: unknown) => error,
  );
}

it("sends JSON with the token and tells the server's time", async () => {
  const { http, seen } = answering(200, '{"a":1}', { Date: "Sun, 22 Nov 2026 10:00:00 GMT" });
  const answer = await http("/me", { method: "POST", body: { b: 2 }, token: "t" });
  expect(answer).toEqual({ data: { a: 1 }, serverTime: Date.UTC(2026, 10, 22, 10), etag: null, unchanged: false });
  expect(seen[0]?.url).toBe("http://page/api/v1/me");
  expect(seen[0]?.init).toMatchObject({ method: "POST", body: '{"b":2}' });
  expect(seen[0]?.init.headers).toMatchObject({ Authorization: "Bearer t", "Content-Type": "application/json" });
});

it("takes an empty answer", async () => {
  await expect(answering(204, "").http("/auth/logout")).resolves.toEqual({ data: null, serverTime: null, etag: null, unchanged: false });
});

it("takes a file as it is, and a refusal to give it as a problem", async () => {
  const { http, seen } = answering(200, "entry_id,at\r\n1,2\r\n");
  expect((await http("/earnings/history.csv", { file: true })).data).toBe("entry_id,at\r\n1,2\r\n");
  expect(seen[0]?.init.headers).toMatchObject({ Accept: "*/*" });
  const error = await failure(answering(503, '{"code":"unavailable","detail":"x"}').http("/x", { file: true }));
  expect(error).toMatchObject({ status: 503, code: "unavailable" });
});

it("reads a problem with its further facts", async () => {
  const body = '{"code":"invalid_input","detail":"email: must have an @-sign.","field":"email"}';
  const error = await failure(answering(400, body).http("/auth/register"));
  expect(error).toBeInstanceOf(Problem);
  expect(error).toMatchObject({ status: 400, code: "invalid_input", field: "email" });
  expect(inWords(error)).toBe("Must have an @-sign.");
});

it("explains a proxy's page as the server's problem", async () => {
  const error = await failure(answering(502, "<html>Bad gateway</html>").http("/me"));
  expect(error).toMatchObject({ status: 502, code: "http_502" });
  expect(inWords(error)).toBe("The server had a problem. Nothing was lost; try again in a moment.");
});

it("says how long to wait", async () => {
  const error = await failure(answering(429, '{"code":"slow_down","detail":"x","retry_after":3.2}').http("/me"));
  expect(inWords(error)).toBe("That was too often. Try again in 4 seconds.");
  const other = await failure(answering(429, "", { "Retry-After": "1" }).http("/me"));
  expect(inWords(other)).toBe("That was too often. Try again in 1 second.");
});

it("tells a server out of reach from one that refuses", async () => {
  const http = httpClient("http://page/api/v1", () => Promise.reject(new TypeError("fetch failed")));
  const error = await failure(http("/me"));
  expect(error).toBeInstanceOf(Unreachable);
  expect(inWords(error)).toContain("cannot be reached");
});

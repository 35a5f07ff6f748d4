import { describe, expect, it, vi } from "vitest";

import { addressOf, newKey, requestOf } from "./endpoint";
import { type CursorPage, Pages } from "./pages.svelte";

describe("an endpoint", () => {
  it("is written with its parameters, without those that are not given", () => {
    expect(addressOf("GET /nodes/{node_id}/stats", { path: { node_id: "a/b" }, query: { step: "day", from: null } })).toBe(
      "/nodes/a%2Fb/stats?step=day",
    );
    expect(addressOf("GET /me")).toBe("/me");
  });

  it("is asked with its method, body, key and version", () => {
    expect(
      requestOf("PATCH /nodes/{node_id}", { path: { node_id: "7" }, body: { name: "attic" }, ifMatch: '"1"', idempotencyKey: "k" }),
    ).toEqual([
      "/nodes/7",
      { method: "PATCH", headers: { "If-Match": '"1"', "Idempotency-Key": "k" }, body: { name: "attic" } },
    ]);
  });

  it("gets a key for what must be done once", () => {
    expect(newKey()).toMatch(/^[0-9a-f]{32}$/);
    expect(newKey()).not.toBe(newKey());
  });
});

describe("a list in pages", () => {
  const page = (items: number[], next_cursor: string | null): Promise<CursorPage<number>> =>
    Promise.resolve({ items, next_cursor });

  it("appends the next page until there is none", async () => {
    const load = vi.fn((cursor: string | null) => (cursor === null ? page([1, 2], "c") : page([3], null)));
    const pages = new Pages(load);
    expect(pages.loading).toBe(true);
    await pages.more();
    expect([pages.items, pages.complete, pages.loading]).toEqual([[1, 2], false, false]);
    await Promise.all([pages.more(), pages.more()]);
    await pages.more();
    expect([pages.items, pages.complete]).toEqual([[1, 2, 3], true]);
    expect(load.mock.calls).toEqual([[null], ["c"]]);
  });

  it("keeps what it has when a page fails, and asks for the same one again", async () => {
    const load = vi.fn((cursor: string | null) => (cursor === null ? page([1], "c") : page([2], null)));
    const pages = new Pages(load);
    await pages.more();
    load.mockRejectedValueOnce(new Error("away"));
    await pages.more();
    expect([pages.items, pages.error]).toEqual([[1], new Error("away")]);
    await pages.more();
    expect([pages.items, pages.error]).toEqual([[1, 2], null]);
  });

  it("drops an answer to a question that is no longer asked", async () => {
    let answerFirst: (page: CursorPage<number>) => void = () => undefined;
    const load = vi
      .fn<(cursor: string | null) => Promise<CursorPage<number>>>()
      .mockImplementationOnce(() => new Promise((resolve) => (answerFirst = resolve)))
      .mockImplementation(() => page([9], null));
    const pages = new Pages(load);
    const first = pages.more();
    pages.clear();
    await vi.waitFor(() => expect(pages.items).toEqual([9]));
    answerFirst({ items: [1], next_cursor: null });
    await first;
    expect(pages.items).toEqual([9]);
  });
});

import { afterEach, beforeEach, expect, it } from "vitest";

import { Router } from "./router.svelte";

let router: Router;

beforeEach(() => {
  history.replaceState(null, "", "#/earnings?period=week&period=day");
  router = new Router();
});
afterEach(() => {
  router.destroy();
  history.replaceState(null, "", "#");
});

it("reads path and query", () => {
  expect(router.path).toBe("/earnings");
  expect(router.query.getAll("period")).toEqual(["week", "day"]);
});

it("goes to another page as a visit, and refines one without", () => {
  router.go("/nodes?state=online");
  expect([router.path, router.query.get("state"), router.visits]).toEqual(["/nodes", "online", 1]);
  router.refine({ state: null, q: "attic ✓" });
  expect(location.hash).toBe("#/nodes?q=attic+%E2%9C%93");
  expect([router.query.get("q"), router.visits]).toEqual(["attic ✓", 1]);
});

it("takes the token of a mail's link out of the address, and nothing else", () => {
  router.go("/verify?token=secret&from=mail");
  expect(router.token).toBe("secret");
  expect(location.hash).toBe("#/verify?from=mail");
  router.go("/");
  expect(router.token).toBeNull();
});

it("begins a page at its top", () => {
  router.go("/nodes");
  expect(router.place).toBe(0);
});

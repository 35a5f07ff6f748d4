import { expect, it } from "vitest";

import { fillPath, findRoute, matchPath } from "./paths";

it.each([
  ["/", "/", {}],
  ["/nodes/:id", "/nodes/7", { id: "7" }],
  ["/nodes/:id", "/nodes/a%2Fb%20%E2%9C%93/", { id: "a/b ✓" }],
  ["/earnings/epochs/:n", "/earnings/epochs/12", { n: "12" }],
  ["/nodes/:id", "/nodes", null],
  ["/nodes/:id", "/nodes/7/score", null],
  ["/nodes/:id", "/nodes/%E0%A4%A", null],
  ["/nodes", "/earnings", null],
] as const)("reads %s in %s", (pattern, path, params) => {
  expect(matchPath(pattern, path)).toEqual(params);
});

it("prefers a literal part to a parameter, in whatever order", () => {
  const routes = [{ path: "/nodes/:id" }, { path: "/nodes/new" }];
  expect(findRoute(routes, "/nodes/new")?.route.path).toBe("/nodes/new");
  expect(findRoute(routes, "/nodes/9")).toEqual({ route: { path: "/nodes/:id" }, params: { id: "9" } });
  expect(findRoute(routes, "/nowhere")).toBeNull();
});

it("writes what it reads", () => {
  const path = fillPath("/nodes/:id", { id: "a/b ✓" }, { period: "week", cursor: null, q: "" });
  expect(path).toBe("/nodes/a%2Fb%20%E2%9C%93?period=week");
  expect(matchPath("/nodes/:id", path.split("?")[0] as string)).toEqual({ id: "a/b ✓" });
});

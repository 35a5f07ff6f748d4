import { describe, expect, it } from "vitest";

import { search } from "./search";
import { sparkPath } from "./spark";
import { stack } from "./stack";
import { visibleRows } from "./virtual";

describe("a stack", () => {
  it("sets each series on those before it", () => {
    expect(stack([[1, 2], [3, 4]])).toEqual([[1, 2], [4, 6]]);
  });

  it("has a gap where nothing was measured, and none where something was", () => {
    expect(stack([[1, null, null], [3, null, 4]])).toEqual([[1, null, 0], [4, null, 4]]);
  });

  it("of nothing is nothing", () => {
    expect(stack([])).toEqual([]);
  });
});

describe("a spark line", () => {
  it("spans its box", () => {
    expect(sparkPath([0, 10], 104, 24)).toBe("M2 22h0L102 2");
  });

  it("breaks where nothing was measured", () => {
    expect(sparkPath([1, null, 2], 104, 24)).toBe("M2 22h0M102 2h0");
    expect(sparkPath([null], 104, 24)).toBe("");
  });

  it("lies in the middle when nothing changes", () => {
    expect(sparkPath([5, 5], 104, 24)).toBe("M2 12h0L102 12");
  });
});

describe("the rows in sight", () => {
  it.each([
    [10_000, 0, { first: 0, end: 28 }],
    [10_000, 4_800, { first: 92, end: 128 }],
    [10_000, -500, { first: 0, end: 18 }],
    [10_000, 1e9, { first: 10_000, end: 10_000 }],
    [3, 0, { first: 0, end: 3 }],
    [0, 0, { first: 0, end: 0 }],
  ])("of %i, %i pixels down", (count, above, window) => {
    expect(visibleRows(count, 48, above, 960)).toEqual(window);
  });
});

describe("a search", () => {
  const texts = ["Earnings", "Network", "Settings", "Sign out", "العُقد"];
  const found = (typed: string): string[] => search(texts, typed, (text) => text);

  it("has all when nothing is typed", () => {
    expect(found("  ")).toEqual(texts);
  });

  it("puts beginnings before the middle of words, and those before scattered letters", () => {
    expect(found("s")).toEqual(["Settings", "Sign out", "Earnings"]);
    expect(found("out")).toEqual(["Sign out"]);
    expect(found("ntw")).toEqual(["Network"]);
  });

  it("does not mind case or marks", () => {
    expect(found("NÉT")).toEqual(["Network"]);
    expect(found("العقد")).toEqual(["العُقد"]);
  });

  it("finds nothing that is not there", () => {
    expect(found("zzz")).toEqual([]);
  });
});

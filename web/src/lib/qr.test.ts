import { expect, it } from "vitest";

import { qrOutline } from "./qr";

/** The squares that an outline covers, row by row. */
function squares({ size, path }: { size: number; path: string }): string[] {
  const rows = Array.from({ length: size }, () => Array<string>(size).fill("."));
  for (const [, x, y, run] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
    for (let at = 0; at < Number(run); at += 1) (rows[Number(y)] as string[])[Number(x) + at] = "#";
  }
  return rows.map((row) => row.join(""));
}

it("has the three corners that readers look for, and the line between them", () => {
  const outline = qrOutline("https://pulseboard.example/#/signup?code=7K3MQ-9XTRB");
  const rows = squares(outline);
  const corner = ["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"];
  expect(rows.slice(0, 7).map((row) => row.slice(0, 7))).toEqual(corner);
  expect(rows.slice(0, 7).map((row) => row.slice(-7))).toEqual(corner);
  expect(rows.slice(-7).map((row) => row.slice(0, 7))).toEqual(corner);
  expect(rows[6]?.slice(7, -7)).toMatch(/^(\.#)*\.$/);
});

it("grows with what it carries, and says what it cannot", () => {
  expect(qrOutline("a").size).toBe(21);
  expect(qrOutline("a".repeat(300)).size).toBeGreaterThan(50);
  expect(() => qrOutline("a".repeat(4_000))).toThrow(RangeError);
});

import { describe, expect, it } from "vitest";

import { count, country, duration, pointParts, points, roughPoints, roundTrip } from "./format";

describe("points", () => {
  it.each([
    ["0", "0.000000"],
    ["1", "0.000001"],
    ["999999", "0.999999"],
    ["1000000", "1.000000"],
    ["1234567890", "1,234.567890"],
    ["-1", "-0.000001"],
    ["-2500000", "-2.500000"],
  ])("writes %s micro-points as %s", (micropoints, text) => {
    expect(points(micropoints)).toBe(text);
  });

  it("is exact far beyond what a number holds", () => {
    expect(points("9007199254740993000001")).toBe("9,007,199,254,740,993.000001");
    expect(points(2n ** 127n)).toBe("170,141,183,460,469,231,731,687,303,715,884.105728");
  });

  it("comes in parts", () => {
    expect(pointParts("12345678")).toEqual({ whole: "12", sign: ".", fraction: "345678" });
  });
});

describe("durations", () => {
  it.each([
    [0, "0s"],
    [0.9, "0s"],
    [-5, "0s"],
    [59, "59s"],
    [60, "1m 0s"],
    [3_725, "1h 2m 5s"],
    [86_400, "1d 0h 0m"],
    [7 * 86_400 + 45_660, "7d 12h 41m"],
    [10_000 * 86_400, "10,000d 0h 0m"],
  ])("writes %d seconds as %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it("stops after as many units as asked", () => {
    expect(duration(3_725, 1)).toBe("1h");
    expect(duration(3_725, 2)).toBe("1h 2m");
  });
});

it("groups counts of any size", () => {
  expect(count(1_234_567)).toBe("1,234,567");
  expect(count(90_071_992_547_409_931n)).toBe("90,071,992,547,409,931");
});

it("writes marks of an axis short, however small or large", () => {
  expect([0, 0.00025, 12.5, 1_500, 2_500_000].map(roughPoints)).toEqual(["0", "0.00025", "12.5", "1.5K", "2.5M"]);
});

describe("round trips", () => {
  it.each([
    [0.43, "0.43 ms"],
    [23.4, "23.4 ms"],
    [180, "180 ms"],
    [1_234.5, "1,230 ms"],
  ])("writes %d milliseconds as %s", (ms, text) => {
    expect(roundTrip(ms)).toBe(text);
  });
});

describe("countries", () => {
  it.each([
    ["DE", "Germany"],
    ["ZZ", "Unknown Region"],
    ["QQ", "QQ"],
    ["", ""],
    ["<b>", "<b>"],
  ])("calls %s %s", (code, name) => {
    expect(country(code)).toBe(name);
  });
});

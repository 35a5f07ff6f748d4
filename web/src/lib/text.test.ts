import { expect, it } from "vitest";

import { en } from "../messages/en";
import { has, t } from "./text";

it("puts parameters in, numbers in the locale's way", () => {
  expect(t("nodes.shown", { shown: 200, total: 1_234 })).toBe("Showing the first 200 of 1,234.");
});

it("picks the plural form", () => {
  expect(t("stat.nodes.missing", { count: 1 })).toBe("1 is away");
  expect(t("stat.nodes.missing", { count: 2 })).toBe("2 are away");
});

it("leaves markup and braces of a parameter alone", () => {
  expect(t("enrol.seen", { name: "{name} <b>$&</b>" })).toBe("We see it: {name} <b>$&</b>");
});

it("knows its keys and nothing inherited", () => {
  expect(has("problem.link_invalid")).toBe(true);
  expect(has("toString")).toBe(false);
});

it("has no empty text", () => {
  for (const message of Object.values(en)) {
    for (const text of typeof message === "string" ? [message] : Object.values(message)) expect(text).not.toBe("");
  }
});

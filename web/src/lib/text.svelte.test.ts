import { afterEach, beforeAll, describe, expect, it } from "vitest";

import { type Area, type Language, LANGUAGES } from "../messages/areas";
import type { Message, Messages } from "../messages/types";
import { count, points } from "./format";
import { has, type Key, known, loadAreas, locale, preferred, setLanguage, showLanguage, t } from "./text.svelte";

const files = import.meta.glob<Messages>("../messages/*/*.ts", { import: "default", eager: true });

function textsOf(language: string): Record<string, Messages> {
  const prefix = `../messages/${language}/`;
  return Object.fromEntries(
    Object.entries(files)
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, texts]) => [path.slice(prefix.length, -3), texts]),
  );
}

const formsOf = (message: Message): string[] => (typeof message === "string" ? [message] : Object.values(message));
const placeholders = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();

beforeAll(() => loadAreas(["overview", "onboarding", "nodes"]));
afterEach(() => showLanguage("en"));

it("puts parameters in, numbers in the locale's way", () => {
  expect(t("nodes.part", { shown: 200, total: 1_234 })).toBe("200 of 1,234 are here, the others are on their way.");
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

it("speaks another language as soon as it is chosen, and remembers it", async () => {
  await setLanguage("ar");
  expect(t("nav.earnings")).toBe("الأرباح");
  expect(t("stat.nodes.missing", { count: 2 })).toBe("اثنتان غائبتان");
  expect([document.documentElement.lang, document.documentElement.dir]).toEqual(["ar", "rtl"]);
  expect(localStorage.getItem("pulseboard.language")).toBe("ar");
  expect(locale()).toBe("ar");
  await setLanguage("zh-Hans");
  expect(t("nav.earnings")).toBe("收益");
  expect(document.documentElement.dir).toBe("ltr");
  expect([count(1_234), points("1500000")]).toEqual(["1,234", "1.500000"]);
  localStorage.clear();
});

it("loads an area in the language that is spoken", async () => {
  await showLanguage("zh-Hans");
  await loadAreas(["entrance"]);
  expect(t("auth.login.submit")).toBe("登录");
});

it.each([
  [["de-AT", "zh-TW"], "zh-Hans"],
  [["ar-EG", "en"], "ar"],
  [["fr"], "en"],
  [[], "en"],
] as [string[], Language][])("takes %j as %s", (tags, language) => {
  expect(preferred(tags)).toBe(language);
});

it("knows no language by an inherited name", () => {
  expect(known("constructor")).toBeNull();
  expect(known("")).toBeNull();
});

describe.each(Object.keys(LANGUAGES))("the texts in %s", (language) => {
  const categories = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
  const english = textsOf("en");
  const own = textsOf(language);

  it("are there for every area", () => {
    expect(Object.keys(own).sort()).toEqual(Object.keys(english).sort());
  });

  it("are not empty, and have every plural form of the language", () => {
    for (const texts of Object.values(own)) {
      for (const [key, message] of Object.entries(texts)) {
        for (const text of formsOf(message)) expect(text, key).not.toBe("");
        if (typeof message !== "string") expect(Object.keys(message).sort(), key).toEqual([...categories].sort());
      }
    }
  });

  it("name what the English ones name", () => {
    for (const [area, texts] of Object.entries(own)) {
      for (const [key, message] of Object.entries(texts)) {
        const wanted = placeholders(formsOf(english[area as Area]?.[key as Key] as Message).at(-1) as string);
        expect(placeholders(formsOf(message).at(-1) as string), key).toEqual(wanted);
      }
    }
  });

  it("give every key to one area only", () => {
    const keys = Object.values(own).flatMap((texts) => Object.keys(texts));
    expect(keys.length).toBe(new Set(keys).size);
  });
});

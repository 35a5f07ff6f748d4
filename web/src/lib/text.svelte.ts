import { type Area, type Areas, type Language, LANGUAGES } from "../messages/areas";
import shell from "../messages/en/shell";
import type { Message, Messages } from "../messages/types";

/** The name of a text, of whatever area. */
export type Key = { [Name in Area]: keyof Areas[Name] }[Area] & string;

const KEY = "pulseboard.language";
const ENGLISH: Language = "en";

type Load = () => Promise<Messages>;
const files = import.meta.glob<Messages>(["../messages/*/*.ts", "!../messages/en/shell.ts"], { import: "default" });

let language: Language = $state(ENGLISH);
let tag: string = $state(tagOf(ENGLISH));
let texts: Messages = $state.raw(shell);
let zone: string | undefined = $state();

const wanted = new Set<Area>(["shell"]);
const loaded = new Map<string, Messages>([[`${ENGLISH}/shell`, shell]]);

const plurals = new Map<string, Intl.PluralRules>();
const numbers = new Map<string, Intl.NumberFormat>();

/** The language of the texts. */
export function currentLanguage(): Language {
  return language;
}

/** The locale (BCP 47) that numbers and times are written in: the reader's own flavour of the language. */
export function locale(): string {
  return tag;
}

/** The time zone (IANA) that times are shown in; undefined: that of the browser. */
export function timeZone(): string | undefined {
  return zone;
}

/** Show times in this zone from now on; one that the browser does not know is left aside. */
export function setTimeZone(name: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    zone = name;
  } catch {
    zone = undefined;
  }
}

/** Whether the texts loaded so far have one of this name. */
export function has(key: string): key is Key {
  return Object.hasOwn(texts, key);
}

/**
 * The text of `key` with `{name}` replaced by `params.name`.
 *
 * A message with plural forms picks one by `params.count`. Numbers are written in the locale. A text
 * of an area that is not loaded shows as its name.
 */
export function t(key: Key, params: Readonly<Record<string, string | number>> = {}): string {
  const message: Message | undefined = texts[key];
  if (message === undefined) return key;
  const pattern =
    typeof message === "string" ? message : (message[pluralRules().select(Number(params.count))] ?? message.other);
  return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numberFormat().format(value) : value;
  });
}

/** Have the texts of these areas, now and whenever the language changes. Rejects when they cannot be loaded. */
export async function loadAreas(areas: readonly Area[]): Promise<void> {
  const missing = areas.filter((area) => !wanted.has(area));
  if (missing.length === 0) return;
  await fetchAreas(language, missing);
  for (const area of missing) wanted.add(area);
  texts = gather(language);
}

/**
 * Write everything in `next`, remembered for the next visit. Rejects when its texts cannot be loaded;
 * all stays as it was then.
 */
export async function setLanguage(next: Language): Promise<void> {
  await showLanguage(next);
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage is denied or full: the choice holds until the page goes.
  }
}

/** Take up the language chosen on this browser before, else the browser's. English if it cannot be loaded. */
export async function startLanguage(): Promise<void> {
  const wish = chosenLanguage() ?? preferred(globalThis.navigator?.languages ?? []);
  await showLanguage(wish).catch(() => showLanguage(ENGLISH));
}

/** The language chosen on this browser before, if one was. */
export function chosenLanguage(): Language | null {
  try {
    return known(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** The first of these tags (BCP 47) that there are texts for; English if there is none. */
export function preferred(tags: readonly string[]): Language {
  for (const each of tags) {
    const found = known(each);
    if (found !== null) return found;
  }
  return ENGLISH;
}

/** The language of our texts that a tag asks for, if there is one. */
export function known(name: string | null): Language | null {
  if (!name) return null;
  const languages = Object.keys(LANGUAGES) as Language[];
  return (
    languages.find((each) => each === name) ?? languages.find((each) => primary(each) === primary(name)) ?? null
  );
}

/** Like `setLanguage`, but it is not remembered. */
export async function showLanguage(next: Language): Promise<void> {
  await fetchAreas(next, [...wanted]);
  language = next;
  tag = tagOf(next);
  texts = gather(next);
  document.documentElement.lang = next;
  document.documentElement.dir = LANGUAGES[next].dir;
}

async function fetchAreas(of: Language, areas: readonly Area[]): Promise<void> {
  await Promise.all(
    areas.map(async (area) => {
      const name = `${of}/${area}`;
      if (!loaded.has(name)) loaded.set(name, await (files[`../messages/${name}.ts`] as Load)());
    }),
  );
}

function gather(of: Language): Messages {
  return Object.assign({}, ...[...wanted].map((area) => loaded.get(`${of}/${area}`) ?? {})) as Messages;
}

function primary(name: string): string {
  return name.split("-", 1)[0]?.toLowerCase() ?? "";
}

function tagOf(of: Language): string {
  const own = globalThis.navigator?.languages?.find((each) => primary(each) === primary(of));
  return own ?? of;
}

function pluralRules(): Intl.PluralRules {
  return memo(plurals, (each) => new Intl.PluralRules(each));
}

function numberFormat(): Intl.NumberFormat {
  return memo(numbers, (each) => new Intl.NumberFormat(each));
}

function memo<T>(made: Map<string, T>, make: (locale: string) => T): T {
  let found = made.get(tag);
  if (found === undefined) made.set(tag, (found = make(tag)));
  return found;
}

import { en, type Message } from "../messages/en";

export type Key = keyof typeof en;
export type Catalogue = Record<Key, Message>;

const catalogues: Record<string, Catalogue> = { en };

/** The language of the texts, and the locale numbers and times are written in. */
export const language = "en";
export const locale =
  globalThis.navigator?.languages?.find((tag) => tag.split("-")[0] === language) ?? language;

const catalogue: Catalogue = catalogues[language] ?? en;
const plurals = new Intl.PluralRules(locale);
const numbers = new Intl.NumberFormat(locale);

/** Whether the catalogue has a text of this key. */
export function has(key: string): key is Key {
  return Object.hasOwn(catalogue, key);
}

/**
 * The text of `key` with `{name}` replaced by `params.name`.
 *
 * A message with plural forms picks one by `params.count`. Numbers are written in the locale.
 */
export function t(key: Key, params: Readonly<Record<string, string | number>> = {}): string {
  const message: Message = catalogue[key];
  const pattern =
    typeof message === "string"
      ? message
      : (message[plurals.select(Number(params.count))] ?? message.other);
  return pattern.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numbers.format(value) : value;
  });
}

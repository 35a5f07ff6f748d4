import type { BookedAmount, HistoryItem, Line } from "../../lib/api";
import { has, type Key, t } from "../../lib/text.svelte";

export type Category = BookedAmount["category"];
export type Kind = HistoryItem["kind"];
export type Account = Line["account"];

/** What an amount can be earned by, in the order in which they are shown and coloured. */
export const CATEGORIES: readonly Category[] = ["availability", "usage", "streak", "first_hours", "campaign", "referral"];

/** A person's accounts, in the order in which an amount goes through them. */
export const STATES = ["pending", "held", "final", "claimable", "claimed"] as const;
export type State = (typeof STATES)[number];

/** The colour of a category: a token `--color-series-…`. */
export function colourOf(category: Category): 1 | 2 | 3 | 4 | 5 | 6 {
  return (CATEGORIES.indexOf(category) + 1 || 6) as 1 | 2 | 3 | 4 | 5 | 6;
}

/** What an amount was earned by, in a word. */
export function categoryName(category: Category): string {
  return word("category", category);
}

/** What was booked, in a word. */
export function kindName(kind: Kind): string {
  return word("kind", kind);
}

/** What a booking of this kind means, in a sentence. */
export function kindReason(kind: Kind): string {
  const key = `earnings.kind.${kind}.why`;
  return has(key) ? t(key as Key) : "";
}

/** Where an amount is, in a word. */
export function accountName(account: Account): string {
  return word("account", account);
}

/** A newer server may have names that are not known here: they stand for themselves. */
function word(group: string, name: string): string {
  const key = `earnings.${group}.${name}`;
  return has(key) ? t(key as Key) : name;
}

import type { HistoryItem, Line } from "../../lib/api";
import { type Account, CATEGORIES, type Category, STATES } from "./words";

/** What a booking did among one's own accounts. */
export interface Movement {
  from: Account[];
  to: Account[];
  /** All that came into `to`. */
  moved: bigint;
}

/** Where amounts of a booking came from and went to, in the order of states. */
export function movement({ lines }: Pick<HistoryItem, "lines">): Movement {
  const sums = new Map<Account, bigint>();
  for (const { account, amount } of lines) sums.set(account, (sums.get(account) ?? 0n) + BigInt(amount));
  const of = (wanted: (sum: bigint) => boolean): Account[] =>
    [...sums].filter(([, sum]) => wanted(sum)).map(([account]) => account).sort((a, b) => placeOf(a) - placeOf(b));
  const to = of((sum) => sum > 0n);
  return { from: of((sum) => sum < 0n), to, moved: to.reduce((all, account) => all + (sums.get(account) ?? 0n), 0n) };
}

/** What the amounts of a booking were earned by, in the order of categories. */
export function categoriesOf({ lines }: Pick<HistoryItem, "lines">): Category[] {
  return CATEGORIES.filter((category) => lines.some((line) => line.category === category));
}

/** Lines in the order of states, and then of categories. */
export function inOrder(lines: readonly Line[]): Line[] {
  const rank = ({ account, category }: Line): number => placeOf(account) * CATEGORIES.length + CATEGORIES.indexOf(category);
  return [...lines].sort((a, b) => rank(a) - rank(b));
}

/** The epoch that a correction was for, by its key; null: it is none. */
export function correctedEpoch(key: string): number | null {
  const found = /^correction:(\d+):/.exec(key);
  return found ? Number(found[1]) : null;
}

function placeOf(account: Account): number {
  const place = (STATES as readonly Account[]).indexOf(account);
  return place < 0 ? STATES.length : place;
}

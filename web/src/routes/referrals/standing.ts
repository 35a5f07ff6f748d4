import type { Tone } from "../../components/ui";
import type { LevelView, RefereeView } from "../../lib/api";

/** What referrals brought, in micro-points: `earned` is the sum of the three after it. */
export interface Sums {
  earned: bigint;
  pending: bigint;
  released: bigint;
  held: bigint;
  reversed: bigint;
}

/** The sums of all levels. */
export function total(levels: readonly LevelView[]): Sums {
  const sum = (pick: (level: LevelView) => string): bigint => levels.reduce((all, level) => all + BigInt(pick(level)), 0n);
  return {
    earned: sum(({ earned }) => earned),
    pending: sum(({ pending }) => pending),
    released: sum(({ released }) => released),
    held: sum(({ held }) => held),
    reversed: sum(({ reversed }) => reversed),
  };
}

/** How somebody who was brought stands. */
export type Condition = "active" | "waiting" | "review" | "refused";

export function conditionOf({ state, active_at }: Pick<RefereeView, "state" | "active_at">): Condition {
  if (state !== "good") return state;
  return active_at === null ? "waiting" : "active";
}

export const TONES: Record<Condition, Tone> = { active: "good", waiting: "quiet", review: "wait", refused: "bad" };

/** The share of a level (10,000ths) when a tier multiplies it by `multiplier` 10,000ths. */
export function multiplied(share: number, multiplier: number): number {
  return Math.floor((share * multiplier) / 10_000);
}

/** The address that invites with a code, for a page that is at `page`. */
export function inviteLink(code: string, page: Pick<Location, "origin" | "pathname">): string {
  return `${page.origin}${page.pathname}#/signup?code=${encodeURIComponent(code)}`;
}

/** A short name for somebody whose id stands for them here alone. */
export function shortId(id: string): string {
  return id.replaceAll("-", "").slice(-6);
}

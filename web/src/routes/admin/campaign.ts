import type { NewCampaign } from "../../lib/api";

/** What is written for a new campaign, as it is typed. */
export interface Draft {
  name: string;
  days: string;
  percent: string;
  budget: string;
  country: string;
}

export type Flaw = "name" | "days" | "percent" | "budget" | "country";

const DAY_MS = 86_400_000;
const DAYS_MOST = 3_660;
/** 10^18 micro-points. */
const BUDGET_MOST = 10n ** 18n;
const NAME_MOST = 100;

/** The fields that cannot be what was meant. */
export function flaws(draft: Draft): Flaw[] {
  const found: Flaw[] = [];
  const name = draft.name.trim();
  if (name === "" || [...name].length > NAME_MOST) found.push("name");
  const days = /^\d{1,4}$/.test(draft.days.trim()) ? Number(draft.days) : 0;
  if (days < 1 || days > DAYS_MOST) found.push("days");
  const share = hundredths(draft.percent);
  if (share === null || share < 1 || share > 100_000) found.push("percent");
  const budget = micropoints(draft.budget);
  if (budget === null || budget < 1n || budget > BUDGET_MOST) found.push("budget");
  if (draft.country.trim() !== "" && !/^[a-z]{2}$/i.test(draft.country.trim())) found.push("country");
  return found;
}

/** The draft as the API takes it; it has no flaws. `now` in milliseconds, by the server's clock. */
export function campaignOf(draft: Draft, now: number): NewCampaign {
  const ends = Math.floor(now / 1_000) * 1_000 + Number(draft.days) * DAY_MS;
  const where = draft.country.trim().toUpperCase();
  return {
    name: draft.name.trim(),
    ends_at: new Date(ends).toISOString(),
    share: hundredths(draft.percent) ?? 0,
    budget: String(micropoints(draft.budget) ?? 0n),
    ...(where === "" ? {} : { country: where }),
  };
}

/** Points as they are typed ("1500", "0.25") in micro-points, without a rounding; null: no such number. */
export function micropoints(text: string): bigint | null {
  const match = /^(\d{1,13})(?:[.,](\d{1,6}))?$/.exec(text.trim());
  return match ? BigInt(match[1] as string) * 1_000_000n + BigInt((match[2] ?? "").padEnd(6, "0")) : null;
}

/** A percentage as it is typed ("12.5") in 10,000ths. */
function hundredths(text: string): number | null {
  const match = /^(\d{1,4})(?:[.,](\d{1,2}))?$/.exec(text.trim());
  return match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : null;
}

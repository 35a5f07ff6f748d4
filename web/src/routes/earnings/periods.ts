import type { EarningsPoint, EarningsSeries } from "../../lib/api";
import { day, duration, minute, tick } from "../../lib/format";
import { fillPath } from "../../lib/paths";
import { t } from "../../lib/text.svelte";

export type Period = EarningsSeries["period"];
export const PERIODS: readonly Period[] = ["hour", "day", "week", "month"];

const MONTH_S = 28 * 86_400;
/** What a step of a period is looked at by more closely. */
const FINER: Partial<Record<Period, Period>> = { day: "hour", week: "day", month: "day" };

/** The period of this name, if there is one. */
export function periodOf(name: string | null): Period | null {
  return PERIODS.find((each) => each === name) ?? null;
}

/** A step of a series by its beginning. */
export function stepName(seconds: number, period: Period): string {
  const at = new Date(seconds * 1_000).toISOString();
  if (period === "hour") return minute(at);
  if (period === "month") return tick(seconds, MONTH_S);
  return period === "week" ? t("earnings.step.week.of", { day: day(at) }) : day(at);
}

/** From when to when a series is. */
export function reachName({ start, end }: Pick<EarningsSeries, "start" | "end">): string {
  return t("earnings.series.reach", { from: day(start), to: day(new Date(Date.parse(end) - 1).toISOString()) });
}

/** Where a step is told in finer ones: the epoch of an hour, else its hours or days. */
export function closer({ start, end }: Pick<EarningsPoint, "start" | "end">, period: Period, node: string | null): string {
  const finer = FINER[period];
  if (finer === undefined) return fillPath("/earnings/at/:time", { time: start }, { to: end, node });
  return fillPath("/earnings", {}, { period: finer, from: start, to: end, node });
}

/** The range as long as this one that lies before (-1) or after (1) it. */
export function beside({ start, end }: Pick<EarningsSeries, "start" | "end">, turn: -1 | 1): { from: string; to: string } {
  const length = Date.parse(end) - Date.parse(start);
  const at = (edge: string): string => new Date(Date.parse(edge) + turn * length).toISOString();
  return turn < 0 ? { from: at(start), to: start } : { from: end, to: at(end) };
}

/** The steps that a table lists, the newest first: from the first to the last that has anything or may get it. */
export function listed(points: readonly EarningsPoint[]): EarningsPoint[] {
  const told = ({ amount, complete }: EarningsPoint): boolean => amount !== null || !complete;
  const first = points.findIndex(told);
  const last = points.findLastIndex(told);
  return first < 0 ? [] : points.slice(first, last + 1).reverse();
}

/** A length of time without units that are 0 at its end: "5m", "1h 30m". */
export function spanOf(seconds: number): string {
  const sizes = [86_400, 3_600, 60, 1];
  const first = sizes.findIndex((size) => seconds >= size);
  const last = sizes.findIndex((size) => seconds % size === 0);
  return duration(seconds, first < 0 ? 1 : Math.max(1, Math.min(2, last - first + 1)));
}

import type { Point, storage_base_statistics_SessionRecord as SessionRecord } from "../../lib/api";

const HOUR_MS = 3_600_000;
/** A bar's length. */
export const BAR_MS = 600_000;
export const BARS = (24 * HOUR_MS) / BAR_MS;

/** A span of a day: the share of its minutes that is confirmed, null where none was measured. */
export interface DayBar {
  confirmed: number | null;
  ahead: boolean;
}

/** The beginning of the day that is shown: 24 hours of which the last has begun. */
export function dayStart(now: number): number {
  return Math.floor(now / HOUR_MS) * HOUR_MS - 23 * HOUR_MS;
}

/** The bars of a day from `start` on, out of a series by the minute. */
export function dayBars(points: readonly Point[], start: number, now: number): DayBar[] {
  const sums = Array.from({ length: BARS }, () => ({ seconds: 0, minutes: 0 }));
  for (const point of points) {
    const bar = sums[Math.floor((Date.parse(point.at) - start) / BAR_MS)];
    if (bar === undefined || point.seconds == null) continue;
    bar.seconds += point.seconds;
    bar.minutes += 1;
  }
  return sums.map(({ seconds, minutes }, index) => {
    const begins = start + index * BAR_MS;
    const length = Math.min(BAR_MS, now - begins) / 1_000;
    return { confirmed: minutes === 0 || length <= 0 ? null : Math.min(1, seconds / length), ahead: begins > now };
  });
}

/** When the node was connected within the day, as parts of it from 0 to 1. */
export function daySpans(sessions: readonly SessionRecord[], start: number, now: number): { from: number; to: number }[] {
  const whole = BARS * BAR_MS;
  return sessions
    .map(({ opened_at, closed_at }) => ({
      from: Math.max(0, (Date.parse(opened_at) - start) / whole),
      to: Math.min(1, ((closed_at === null ? now : Date.parse(closed_at)) - start) / whole),
    }))
    .filter(({ from, to }) => to > from);
}

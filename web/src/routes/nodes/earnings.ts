import type { EarningsPoint } from "../../lib/api";
import { drawnPoints } from "../../lib/format";

/** The amounts of one category, step by step, as a chart draws them; null: nothing was booked. */
export function drawnCategory(points: readonly EarningsPoint[], category: string): (number | null)[] {
  return points.map(({ amount, categories }) => (amount === null ? null : drawnPoints(categories[category] ?? "0")));
}

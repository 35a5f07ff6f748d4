import type { EpochView } from "../../lib/api";

type Reach = Pick<EpochView, "number" | "starts_at" | "ends_at">;

/**
 * The number of the closed epoch that the moment `at` (milliseconds) is in, else of the first one that begins
 * between it and `until`; null: there is none.
 *
 * Looks at a few epochs only: each guess comes from the length of the one before, every second one halves
 * what is left, so that a change of lengths costs little.
 */
export async function epochAt(at: number, until: number, newest: Reach, read: (number: number) => Promise<Reach>): Promise<number | null> {
  let [low, high] = [1, newest.number];
  let known = newest;
  for (let step = 0; ; step += 1) {
    const [start, end] = [Date.parse(known.starts_at), Date.parse(known.ends_at)];
    if (at >= start && at < end) return known.number;
    if (at < start) high = Math.min(high, known.number - 1);
    else low = Math.max(low, known.number + 1);
    if (low > high) break;
    const guess = known.number + Math.floor((at - start) / (end - start));
    const next = step % 2 === 0 ? guess : Math.floor((low + high) / 2);
    known = await read(Math.min(high, Math.max(low, next)));
  }
  // All before `low` are over by then.
  if (low > newest.number) return null;
  const next = low === known.number ? known : await read(low);
  return Date.parse(next.starts_at) < until ? low : null;
}

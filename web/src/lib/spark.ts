import { t } from "./text.svelte";

/** The path of a small line through `values` (oldest first) in a box; null is a gap, a lone value a dot. */
export function sparkPath(values: readonly (number | null)[], width: number, height: number, inset = 2): string {
  const measured = values.filter((value) => value !== null);
  if (measured.length === 0) return "";
  const least = Math.min(...measured);
  const range = Math.max(...measured) - least;
  const step = values.length > 1 ? (width - 2 * inset) / (values.length - 1) : 0;
  const parts: string[] = [];
  let pen = false;
  for (const [index, value] of values.entries()) {
    if (value === null) {
      pen = false;
      continue;
    }
    const x = round(inset + index * step);
    // All the same: a line in the middle.
    const y = round(range === 0 ? height / 2 : height - inset - ((value - least) / range) * (height - 2 * inset));
    parts.push(pen ? `L${x} ${y}` : `M${x} ${y}h0`);
    pen = true;
  }
  return parts.join("");
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** What such a line shows, in words. */
export function sparkSummary(values: readonly (number | null)[], format: (value: number) => string): string {
  const measured = values.filter((value) => value !== null);
  if (measured.length === 0) return t("unmeasured.word");
  return t("spark.summary", {
    least: format(Math.min(...measured)),
    most: format(Math.max(...measured)),
    last: format(measured.at(-1) as number),
  });
}

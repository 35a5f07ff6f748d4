/** The values of one series: null is not measured. */
export type Values = readonly (number | null)[];

/**
 * Series set upon each other: each with all below it added. Where none is measured there is a gap; a
 * series that is not measured beside one that is counts for nothing there.
 */
export function stack(series: readonly Values[]): (number | null)[][] {
  const length = Math.max(0, ...series.map((values) => values.length));
  const sums = new Array<number>(length).fill(0);
  const gaps = sums.map((_, index) => series.every((values) => (values[index] ?? null) === null));
  return series.map((values) =>
    sums.map((_, index) => {
      if (gaps[index]) return null;
      sums[index] = (sums[index] as number) + (values[index] ?? 0);
      return sums[index] as number;
    }),
  );
}

/** How much of `whole` a part is, in per cent for drawing, from 0 to 100. */
export function percentOf(part: bigint, whole: bigint): number {
  if (whole <= 0n || part <= 0n) return 0;
  return part >= whole ? 100 : Number((part * 10_000n) / whole) / 100;
}

/** Where an estimate lies on a scale from 0 to a little beyond its most, in per cent for drawing. */
export interface Placed {
  booked: number;
  least: number;
  amount: number;
  most: number;
}

/** `booked` is sure already; the whole will be `amount`, between `least` and `most`. */
export function place(booked: bigint, least: bigint, amount: bigint, most: bigint): Placed {
  const scale = (most * 103n) / 100n || 1n;
  return {
    booked: percentOf(booked, scale),
    least: percentOf(least, scale),
    amount: percentOf(amount, scale),
    most: percentOf(most, scale),
  };
}

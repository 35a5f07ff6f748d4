import { locale } from "./text";

const MICRO = 1_000_000n;

const whole = new Intl.NumberFormat(locale);
const fraction = new Intl.NumberFormat(locale, { minimumIntegerDigits: 6, useGrouping: false });
const decimalSign =
  new Intl.NumberFormat(locale).formatToParts(0.5).find((part) => part.type === "decimal")?.value ?? ".";
const minusSign =
  new Intl.NumberFormat(locale).formatToParts(-1).find((part) => part.type === "minusSign")?.value ?? "-";

const units = Object.fromEntries(
  (["day", "hour", "minute", "second"] as const).map((unit) => [
    unit,
    new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "narrow" }),
  ]),
) as Record<"day" | "hour" | "minute" | "second", Intl.NumberFormat>;

const milliseconds = new Intl.NumberFormat(locale, {
  style: "unit",
  unit: "millisecond",
  unitDisplay: "short",
  maximumSignificantDigits: 3,
});
const regions = new Intl.DisplayNames(locale, { type: "region", fallback: "code" });

const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const times = new Intl.DateTimeFormat(locale, { timeStyle: "short" });

export interface Points {
  /** The integer part with its sign, grouped. */
  whole: string;
  /** The decimal sign. */
  sign: string;
  /** Six digits. */
  fraction: string;
}

/** Micro-points, a whole number of any size written as text, as the parts of a number of points. */
export function pointParts(micropoints: string | bigint): Points {
  const amount = BigInt(micropoints);
  const size = amount < 0n ? -amount : amount;
  return {
    whole: (amount < 0n ? minusSign : "") + whole.format(size / MICRO),
    sign: decimalSign,
    fraction: fraction.format(size % MICRO),
  };
}

/** Micro-points as points with six decimals. */
export function points(micropoints: string | bigint): string {
  const parts = pointParts(micropoints);
  return parts.whole + parts.sign + parts.fraction;
}

/** A count, grouped. */
export function count(value: number): string {
  return whole.format(value);
}

/** Seconds in their largest units, at most `parts` of them: "3d 4h 12m", "45s". */
export function duration(seconds: number, parts = 3): string {
  let rest = Math.max(0, Math.floor(seconds));
  const amounts: [keyof typeof units, number][] = [];
  for (const [unit, size] of [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
    ["second", 1],
  ] as const) {
    amounts.push([unit, Math.floor(rest / size)]);
    rest %= size;
  }
  const first = amounts.findIndex(([, amount]) => amount > 0);
  const shown = first < 0 ? amounts.slice(-1) : amounts.slice(first, first + parts);
  return shown.map(([unit, amount]) => units[unit].format(amount)).join(" ");
}

/** A round trip: "0.4 ms", "23.4 ms", "1,230 ms". */
export function roundTrip(ms: number): string {
  return milliseconds.format(ms);
}

/** The name of a country by its code (ISO 3166-1); the code itself if it has none. */
export function country(code: string): string {
  return /^[A-Z]{2}$/.test(code) ? (regions.of(code) ?? code) : code;
}

/** A moment (RFC 3339) as date and time in the reader's zone. */
export function moment(at: string): string {
  return moments.format(new Date(at));
}

/** A time of day in the reader's zone. */
export function timeOfDay(at: Date): string {
  return times.format(at);
}

import { locale, timeZone } from "./text.svelte";

const MICRO = 1_000_000n;
const UNITS = ["day", "hour", "minute", "second"] as const;
type Unit = (typeof UNITS)[number];

/** What writes numbers, spans and times in a locale and time zone. */
interface Writers {
  whole: Intl.NumberFormat;
  fraction: Intl.NumberFormat;
  rough: Intl.NumberFormat;
  decimalSign: string;
  minusSign: string;
  plusSign: string;
  units: Record<Unit, Intl.NumberFormat>;
  milliseconds: Intl.NumberFormat;
  percent: Intl.NumberFormat;
  byteUnits: Intl.NumberFormat[];
  regions: Intl.DisplayNames;
  moments: Intl.DateTimeFormat;
  minutes: Intl.DateTimeFormat;
  times: Intl.DateTimeFormat;
  days: Intl.DateTimeFormat;
  dates: Intl.DateTimeFormat;
  months: Intl.DateTimeFormat;
  clock: Intl.DateTimeFormat;
  relative: Intl.RelativeTimeFormat;
}

const made = new Map<string, Writers>();

/** Those of the language and zone in use; reading them makes a text follow a change of either. */
function writers(): Writers {
  const [tag, zone] = [locale(), timeZone()];
  const name = `${tag} ${zone}`;
  let found = made.get(name);
  if (found === undefined) made.set(name, (found = makeWriters(tag, zone)));
  return found;
}

function makeWriters(tag: string, zone: string | undefined): Writers {
  const unit = (each: string, unitDisplay: "narrow" | "short", more: Intl.NumberFormatOptions = {}) =>
    new Intl.NumberFormat(tag, { style: "unit", unit: each, unitDisplay, ...more });
  const sign = (value: number, type: "minusSign" | "plusSign", otherwise: string): string =>
    new Intl.NumberFormat(tag, { signDisplay: "always" }).formatToParts(value).find((part) => part.type === type)
      ?.value ?? otherwise;
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // Whoever looks from another zone than the machine's is told which one it is.
  const named: Intl.DateTimeFormatOptions = zone !== undefined && zone !== own ? { timeZoneName: "short" } : {};
  const timeZoneOption: Intl.DateTimeFormatOptions = zone === undefined ? {} : { timeZone: zone };
  return {
    whole: new Intl.NumberFormat(tag),
    fraction: new Intl.NumberFormat(tag, { minimumIntegerDigits: 6, useGrouping: false }),
    rough: new Intl.NumberFormat(tag, { maximumSignificantDigits: 4, notation: "compact" }),
    decimalSign:
      new Intl.NumberFormat(tag).formatToParts(0.5).find((part) => part.type === "decimal")?.value ?? ".",
    minusSign: sign(-1, "minusSign", "-"),
    plusSign: sign(1, "plusSign", "+"),
    units: Object.fromEntries(UNITS.map((each) => [each, unit(each, "narrow")])) as Writers["units"],
    milliseconds: unit("millisecond", "short", { maximumSignificantDigits: 3 }),
    percent: new Intl.NumberFormat(tag, { style: "percent", maximumFractionDigits: 2 }),
    byteUnits: ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"].map((each) =>
      unit(each, "short", { maximumSignificantDigits: 3 }),
    ),
    regions: new Intl.DisplayNames(tag, { type: "region", fallback: "code" }),
    moments: new Intl.DateTimeFormat(tag, {
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: "numeric",
      minute: "2-digit",
      second: "2-digit",
      ...named,
      ...timeZoneOption,
    }),
    minutes: new Intl.DateTimeFormat(tag, {
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: "numeric",
      minute: "2-digit",
      ...named,
      ...timeZoneOption,
    }),
    times: new Intl.DateTimeFormat(tag, { timeStyle: "short", ...timeZoneOption }),
    days: new Intl.DateTimeFormat(tag, { dateStyle: "medium", ...timeZoneOption }),
    dates: new Intl.DateTimeFormat(tag, { month: "short", day: "numeric", ...timeZoneOption }),
    months: new Intl.DateTimeFormat(tag, { year: "numeric", month: "short", ...timeZoneOption }),
    clock: new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...timeZoneOption }),
    relative: new Intl.RelativeTimeFormat(tag, { numeric: "auto", style: "narrow" }),
  };
}

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
  const { whole, fraction, decimalSign, minusSign } = writers();
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

/** The sign of what is added. */
export function plusSign(): string {
  return writers().plusSign;
}

/** Micro-points as points for a chart's axis: a number, which is not exact, for drawing only. */
export function drawnPoints(micropoints: string | bigint): number {
  const amount = BigInt(micropoints);
  return Number(amount / MICRO) + Number(amount % MICRO) / 1e6;
}

/** A drawn number of points for an axis, as short as it can be told from its neighbours. */
export function roughPoints(value: number): string {
  return writers().rough.format(value);
}

/** A count of any size, grouped. */
export function count(value: number | bigint): string {
  return writers().whole.format(value);
}

/** A share, given in parts of `of` (10,000 for scores and shares of the API), as a percentage. */
export function share(value: number, of = 10_000): string {
  return writers().percent.format(value / of);
}

/** An amount of data: "1.2 GB" (decimal units). */
export function bytes(value: number): string {
  const { byteUnits } = writers();
  const power = value < 1_000 ? 0 : Math.min(byteUnits.length - 1, Math.floor(Math.log10(value) / 3));
  return (byteUnits[power] as Intl.NumberFormat).format(value / 1_000 ** power);
}

/** Seconds in their largest units, at most `parts` of them: "3d 4h 12m", "45s". */
export function duration(seconds: number, parts = 3): string {
  let rest = Math.max(0, Math.floor(seconds));
  const amounts: [Unit, number][] = [];
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
  const { units } = writers();
  return shown.map(([unit, amount]) => units[unit].format(amount)).join(" ");
}

/** How long ago, or until: "5 min. ago", "in 2 hr."; `seconds` are negative in the past. */
export function relative(seconds: number): string {
  const size = Math.abs(seconds);
  const [unit, length] =
    size < 60
      ? (["second", 1] as const)
      : size < 3_600
        ? (["minute", 60] as const)
        : size < 86_400
          ? (["hour", 3_600] as const)
          : (["day", 86_400] as const);
  return writers().relative.format(Math.trunc(seconds / length), unit);
}

/** A round trip: "0.4 ms", "23.4 ms", "1,230 ms". */
export function roundTrip(ms: number): string {
  return writers().milliseconds.format(ms);
}

/** The name of a country by its code (ISO 3166-1); the code itself if it has none. */
export function country(code: string): string {
  return /^[A-Z]{2}$/.test(code) ? (writers().regions.of(code) ?? code) : code;
}

/** A moment (RFC 3339) as date and time in the reader's zone. */
export function moment(at: string): string {
  return writers().moments.format(new Date(at));
}

/** A moment (RFC 3339) that is a whole minute, such as the beginning of an epoch. */
export function minute(at: string): string {
  return writers().minutes.format(new Date(at));
}

/** A day (of a moment, RFC 3339) in the reader's zone. */
export function day(at: string): string {
  return writers().days.format(new Date(at));
}

/** A mark on a time axis whose marks lie `step` seconds apart: a time, at midnight the date; a date; a month. */
export function tick(seconds: number, step: number): string {
  const { times, dates, months, clock } = writers();
  const at = new Date(seconds * 1_000);
  if (step >= 27 * 86_400) return months.format(at);
  return step >= 86_400 || clock.format(at) === "00:00" ? dates.format(at) : times.format(at);
}

/** A time of day in the reader's zone. */
export function timeOfDay(at: Date): string {
  return writers().times.format(at);
}

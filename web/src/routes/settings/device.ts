import type { IconName } from "../../components/ui/icons";

/** What a browser says of itself (`User-Agent`), as far as it is of use. */
export interface Device {
  /** "Firefox"; null if it is none that is known. */
  browser: string | null;
  /** "Windows"; null if it does not tell. */
  system: string | null;
  icon: IconName;
}

// The first that fits: most call themselves by the names of older ones too.
const BROWSERS: readonly [RegExp, string][] = [
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Headless)?(?:Chrome|CriOS)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
  [/^curl\//, "curl"],
  [/^pulseboard/i, "Pulseboard"],
  [/^Python/i, "Python"],
];
const SYSTEMS: readonly [RegExp, string][] = [
  [/\b(?:iPhone|iPad)\b/, "iOS"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

export function deviceOf(agent: string): Device {
  const system = named(SYSTEMS, agent);
  return { browser: named(BROWSERS, agent), system, icon: system === "iOS" || system === "Android" ? "phone" : "device" };
}

function named(patterns: readonly [RegExp, string][], agent: string): string | null {
  return patterns.find(([pattern]) => pattern.test(agent))?.[1] ?? null;
}

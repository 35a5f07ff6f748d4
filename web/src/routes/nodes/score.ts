import type { Component, Gate, Score } from "../../lib/api";
import { bytes, count, duration, roundTrip, share } from "../../lib/format";
import { has, type Key, t } from "../../lib/text.svelte";
import { reasonOf } from "./reasons";

/** All points that a score, or a part of it, can have. */
export const MOST_POINTS = 10_000;
/** Round trips are counted up to here (milliseconds); beyond, all that is known is that they took longer. */
const SLOWEST_MS = 1_500;

/** A gate's factor, by its quarters. */
export function factor(quarters: number): string {
  return quarters === 0 ? "×0" : quarters === 4 ? "×1" : quarters === 2 ? "×½" : quarters === 1 ? "×¼" : `×${quarters}/4`;
}

/** What a part was given for, in the reader's language. */
export function partSentence(part: Component): string {
  const { inputs } = part;
  const number = (name: string): number => inputs[name] ?? 0;
  const found = share(part.points ?? 0);
  const measured = part.points !== null;
  switch (part.name) {
    case "uptime": {
      const window = duration(number("window_seconds"), 2);
      if (!measured) return t("score.uptime.none", { window, least: duration(number("least_window_seconds"), 2) });
      if (part.points === MOST_POINTS) return t("score.uptime.all", { window });
      return t("score.uptime.part", { window, confirmed: duration(number("confirmed_seconds"), 2), share: found });
    }
    case "latency": {
      if (!measured) return t("score.latency.none", { samples: number("samples"), least: number("least_samples") });
      const slow = number("median_ms") > SLOWEST_MS;
      const median = roundTrip(slow ? SLOWEST_MS : number("median_ms"));
      return t(slow ? "score.latency.more" : "score.latency.most", { median });
    }
    case "challenges": {
      const [answered, missed, refused] = [number("answered"), number("missed"), number("refused")];
      const asked = answered + missed + refused;
      if (!measured) return t("score.challenges.none", { asked, least: number("least_challenges") });
      return t("score.challenges.some", { answered, asked, missed, refused, share: found });
    }
    case "contribution":
      return t("score.contribution.some", {
        moved: bytes(number("bytes")),
        target: bytes(number("target_bytes")),
        share: found,
      });
    default:
      return part.sentence;
  }
}

/** What a gate found, in the reader's language. */
export function gateSentence(gate: Gate): string {
  const standing = `score.gate.none.${gate.name}`;
  if (gate.quarters === null) {
    return t(gate.name === "impossible_travel" ? "score.gate.unmeasured.place" : "score.gate.unmeasured.address");
  }
  if (gate.quarters === 4 && has(standing)) return t(standing as Key);
  return reasonOf(gate.name, gate.facts, gate.sentence);
}

/** What is said of the score as a whole. */
export function scoreSentence(score: Score): string {
  if (score.computed_at === null) return t("score.new");
  if (score.score === null) {
    const parts = score.components.filter(({ points }) => points === null).map(({ name }) => partName(name));
    return t("score.none", { parts: parts.join(", ") });
  }
  return t("score.base", { base: count(score.base ?? 0), factor: factor(score.quarters) });
}

export function partName(name: Component["name"]): string {
  return t(`score.${name}`);
}

/** What would raise the score most: the end of a gate, or a part's missing points. */
export function advice(score: Score): string {
  if (score.score === null || score.base === null) return t("score.advice.wait");
  const best = [...score.components].sort((a, b) => (b.could_add ?? 0) - (a.could_add ?? 0))[0];
  const gain = best?.could_add ?? 0;
  const held = score.base - score.score;
  const gate = [...score.gates].filter(({ quarters }) => quarters !== null).sort((a, b) => (a.quarters ?? 4) - (b.quarters ?? 4))[0];
  if (gate && held > 0 && held >= gain) return t("score.advice.gate", { points: held, reason: gateSentence(gate) });
  if (best && gain > 0) return t(`score.advice.${best.name}`, { points: gain });
  return t("score.advice.none");
}

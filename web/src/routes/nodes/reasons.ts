import { has, type Key, t } from "../../lib/text.svelte";

type Facts = Readonly<Record<string, unknown>>;

/** What a rule found at a node, in the reader's language; `sentence` is what the server says. */
export function reasonOf(rule: string, facts: Facts, sentence: string): string {
  const key = `reason.${rule}${rule === "identical_timing" ? `.${facts.of === "owner" ? "owner" : "network"}` : ""}`;
  if (!has(key) || Object.keys(facts).length === 0) return sentence;
  const params = Object.entries(facts).filter((each): each is [string, string | number] => {
    return typeof each[1] === "number" || typeof each[1] === "string";
  });
  return t(key, Object.fromEntries(params));
}

/** The name of a gate; that of a rule that is not known yet is its own. */
export function gateName(name: string): string {
  const key = `score.gate.${name}`;
  return has(key) ? t(key as Key) : name.replaceAll("_", " ");
}

import { nodeMeasured } from "./measured";
import type { NodeView } from "./protocol";
import { t } from "./text.svelte";

/** How a node does: a name for its colour, a word for it, and why, where that is not plain. */
export interface Condition {
  name: "online" | "degraded" | "flapping" | "offline" | "suspended" | "never";
  word: string;
  why?: string;
}

export function nodeCondition(node: NodeView): Condition {
  if (node.state === "suspended") {
    return { name: "suspended", word: t("nodes.state.suspended"), why: t("nodes.why.suspended") };
  }
  if (!nodeMeasured(node)) return { name: "never", word: t("nodes.state.never") };
  if (node.state === "degraded" && node.flapping) {
    return { name: "flapping", word: t("nodes.state.flapping"), why: t("nodes.why.flapping") };
  }
  if (node.state === "degraded") {
    return { name: "degraded", word: t("nodes.state.degraded"), why: t("nodes.why.degraded") };
  }
  return node.state === "online"
    ? { name: "online", word: t("nodes.state.online") }
    : { name: "offline", word: t("nodes.state.offline") };
}

import type { NodeView, Overview } from "./protocol";

/** Whether there is any measurement of the node: one that never came online has none. */
export function nodeMeasured(node: NodeView): boolean {
  return node.since !== null;
}

/** Whether any of the nodes was measured. Those beyond the list count by what they confirmed. */
export function overviewMeasured(overview: Overview): boolean {
  return overview.confirmed_seconds > 0 || overview.nodes_online > 0 || overview.nodes.some(nodeMeasured);
}

/** The newest round trip of a node that is connected, in milliseconds; null: not measured. */
export function nodeRoundTrip(node: NodeView): number | null {
  const connected = node.state === "online" || node.state === "degraded";
  return connected ? (node.rtt_ms ?? null) : null;
}

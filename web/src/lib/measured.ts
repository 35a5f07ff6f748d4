import type { NodeView, Overview } from "./protocol";

/** Whether there is any measurement of the node: one that never came online has none. */
export function nodeMeasured(node: NodeView): boolean {
  return node.since !== null;
}

/** Whether any of the nodes was measured. Those beyond the list count by what they confirmed. */
export function overviewMeasured(overview: Overview): boolean {
  return overview.confirmed_seconds > 0 || overview.nodes_online > 0 || overview.nodes.some(nodeMeasured);
}

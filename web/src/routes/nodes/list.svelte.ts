import type { NodeItem, NodePage } from "../../lib/api";
import type { Client } from "../../lib/client";
import { country } from "../../lib/format";
import { nodeRoundTrip } from "../../lib/measured";
import type { Overview } from "../../lib/protocol";
import { match } from "../../lib/search";

const PAGE = 200;

/** A node as the list shows it. `rtt_ms` undefined: the list does not know it, a page of the node's own does. */
export interface Listed extends NodeItem {
  rtt_ms?: number | null;
  place: string;
}

export type StateFilter = "all" | NodeItem["state"];

/** All of one's nodes, read page by page until they are here; what is shown stays while they are read again. */
export class NodeList {
  items: readonly NodeItem[] = $state.raw([]);
  /** All were here once. */
  complete = $state(false);
  busy = $state(false);
  error: unknown = $state.raw(null);

  #generation = 0;

  constructor(private readonly client: Client) {}

  async read(): Promise<void> {
    const generation = (this.#generation += 1);
    this.busy = true;
    this.error = null;
    const found: NodeItem[] = [];
    try {
      for (let cursor: string | null = null; ; ) {
        const page: NodePage = await this.client.call("GET /nodes", { query: { limit: PAGE, cursor } });
        if (generation !== this.#generation) return;
        found.push(...page.items);
        if (!this.complete) this.items = [...found];
        cursor = page.next_cursor;
        if (cursor === null) break;
      }
      this.items = found;
      this.complete = true;
    } catch (error) {
      if (generation === this.#generation) this.error = error;
    } finally {
      if (generation === this.#generation) this.busy = false;
    }
  }

  /** Nobody looks any more: what is under way is dropped. */
  leave(): void {
    this.#generation += 1;
    this.busy = false;
  }
}

/** The nodes as they were read, and where each stands in the list. */
export interface Read {
  nodes: readonly Listed[];
  places: ReadonlyMap<string, number>;
}

/** What does not change with every event of the socket: made once for each reading of the list. */
export function readList(items: readonly NodeItem[]): Read {
  return {
    nodes: items.map((item) => ({ ...item, place: placeOf(item.country) })),
    places: new Map(items.map((item, index) => [item.node_id, index])),
  };
}

/** The nodes with what is live about those that the socket tells of. */
export function listed({ nodes, places }: Read, overview: Overview | null): Listed[] {
  const all = [...nodes];
  for (const live of overview?.nodes ?? []) {
    const index = places.get(live.node_id);
    const node = index === undefined ? undefined : all[index];
    if (index === undefined || node === undefined) continue;
    const code = live.country ?? null;
    all[index] = {
      ...node,
      state: live.state as NodeItem["state"],
      since: live.since,
      flapping: live.flapping ?? false,
      confirmed_seconds: live.confirmed_seconds,
      country: code,
      rtt_ms: nodeRoundTrip(live),
      place: code === node.country ? node.place : placeOf(code),
    };
  }
  return all;
}

/** The ids of those whose name, id or country fits what is typed; null: nothing is typed. */
export function matching({ nodes }: Read, typed: string): ReadonlySet<string> | null {
  if (typed.trim() === "") return null;
  // Scattered letters (4 and more) are too little for a long list.
  const fits = (node: Listed): boolean =>
    (match(`${node.name} ${node.node_id} ${node.place} ${node.country ?? ""}`, typed) ?? 4) < 4;
  return new Set(nodes.filter(fits).map((node) => node.node_id));
}

/** Those of `nodes` in the state asked for that are among `ids`. */
export function filtered(nodes: readonly Listed[], state: StateFilter, ids: ReadonlySet<string> | null): readonly Listed[] {
  if (state === "all" && ids === null) return nodes;
  return nodes.filter((node) => (state === "all" || node.state === state) && (ids === null || ids.has(node.node_id)));
}

/** How many nodes are in each state. */
export function countStates(nodes: readonly Listed[]): Record<StateFilter, number> {
  const counts = { all: nodes.length, online: 0, degraded: 0, offline: 0, suspended: 0 };
  for (const { state } of nodes) counts[state] += 1;
  return counts;
}

function placeOf(code: string | null): string {
  return code === null ? "" : country(code);
}

import type { CountryStatistics } from "../../lib/api";
import { country as nameOf } from "../../lib/format";
import type { NetworkSummary } from "../../lib/protocol";
import { t } from "../../lib/text.svelte";

/** How the API names the place of nodes of which it is not known. */
export const UNKNOWN = "unknown";

/** A line of the list of countries. What was measured is null where nothing was. */
export interface CountryRow {
  /** ISO 3166-1, or "unknown". */
  code: string;
  name: string;
  online: number;
  uptime: number | null;
  rtt_p50_ms: number | null;
  rtt_p95_ms: number | null;
}

/**
 * Every country with nodes, those with most online first and the unknown place last: how many are online
 * as the socket says, and what was measured as the API said last.
 */
export function countryRows(network: NetworkSummary | null, measured: readonly CountryStatistics[]): CountryRow[] {
  const rows = new Map<string, CountryRow>();
  for (const each of measured) {
    const { uptime, rtt_p50_ms, rtt_p95_ms } = each;
    const online = network === null ? each.nodes_online : 0;
    rows.set(each.country ?? UNKNOWN, { ...named(each.country), online, uptime, rtt_p50_ms, rtt_p95_ms });
  }
  for (const { country, nodes_online } of network?.countries ?? []) {
    const row = rows.get(country ?? UNKNOWN);
    if (row !== undefined) row.online = nodes_online;
    else rows.set(country ?? UNKNOWN, { ...named(country), online: nodes_online, uptime: null, rtt_p50_ms: null, rtt_p95_ms: null });
  }
  return [...rows.values()].sort(
    (a, b) => Number(a.code === UNKNOWN) - Number(b.code === UNKNOWN) || b.online - a.online || a.name.localeCompare(b.name),
  );
}

function named(code: string | null): { code: string; name: string } {
  return code === null ? { code: UNKNOWN, name: t("network.countries.unknown") } : { code, name: nameOf(code) };
}

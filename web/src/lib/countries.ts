import type { CountryCount, NetworkSummary } from "./protocol";

/** The countries with most nodes online, the unknown place last, and how many more there are. */
export function topCountries(network: NetworkSummary, most: number): { top: CountryCount[]; more: number } {
  const known = network.countries
    .filter(({ country }) => country !== null)
    .sort((a, b) => b.nodes_online - a.nodes_online || (String(a.country) < String(b.country) ? -1 : 1));
  const unknown = network.countries.filter(({ country }) => country === null);
  const top = known.slice(0, most);
  return { top: [...top, ...unknown], more: known.length - top.length };
}

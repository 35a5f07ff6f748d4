/** Shades of the map, besides that of "none". */
export const LEVELS = 5;

/** The shade of a country with `count` nodes where the most have `most`: by the root, so that few show too; 0 for none. */
export function levelOf(count: number, most: number): number {
  if (count <= 0) return 0;
  return Math.min(LEVELS, Math.max(1, Math.ceil(Math.sqrt(count / Math.max(1, most)) * LEVELS)));
}

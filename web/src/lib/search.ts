/**
 * How well `text` is what `typed` asks for: null if not at all, else less is better.
 *
 * All words typed must be found: at the beginning of the text, of a word in it, anywhere, or (the letters in
 * their order) scattered.
 */
export function match(text: string, typed: string): number | null {
  const haystack = plain(text);
  let sum = 0;
  for (const word of plain(typed).split(/\s+/).filter(Boolean)) {
    const found = rank(haystack, word);
    if (found === null) return null;
    sum += found;
  }
  return sum;
}

/** Those of `items` that match, the best first; all, as they come, when nothing is typed. */
export function search<T>(items: readonly T[], typed: string, text: (item: T) => string): T[] {
  return items
    .map((item, index) => ({ item, index, rank: match(text(item), typed) }))
    .filter((each) => each.rank !== null)
    .sort((a, b) => (a.rank as number) - (b.rank as number) || a.index - b.index)
    .map(({ item }) => item);
}

function rank(text: string, word: string): number | null {
  const at = text.indexOf(word);
  if (at === 0) return 0;
  if (at > 0) return /\s/.test(text.charAt(at - 1)) ? 1 : 2;
  let from = 0;
  for (const letter of word) {
    const next = text.indexOf(letter, from);
    if (next < 0) return null;
    from = next + 1;
  }
  return 4;
}

function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The rows of a long list that are worth drawing: `first` up to, not with, `end`. */
export interface Window {
  first: number;
  end: number;
}

/**
 * Which rows of equal height show in a view.
 *
 * `above` is how far (pixels) the list's upper edge lies above the view's, negative when it is below;
 * `view` is the view's height; `spare` rows are drawn beyond each edge.
 */
export function visibleRows(count: number, rowHeight: number, above: number, view: number, spare = 8): Window {
  if (count <= 0 || rowHeight <= 0) return { first: 0, end: 0 };
  const first = Math.floor(above / rowHeight) - spare;
  const end = Math.ceil((above + view) / rowHeight) + spare;
  return {
    first: Math.min(count, Math.max(0, first)),
    end: Math.max(0, Math.min(count, end)),
  };
}

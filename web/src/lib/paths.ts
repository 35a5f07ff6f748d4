export type Params = Readonly<Record<string, string>>;

/**
 * What a pattern's parameters are in `path`; null if it does not match.
 *
 * `/nodes/:id` matches `/nodes/7` with `id` "7"; a part is whatever is between slashes, decoded.
 */
export function matchPath(pattern: string, path: string): Params | null {
  const wanted = partsOf(pattern);
  const given = partsOf(path);
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] as string;
    if (part.startsWith(":")) {
      const decoded = decode(value);
      if (decoded === null) return null;
      params[part.slice(1)] = decoded;
    } else if (part !== value) {
      return null;
    }
  }
  return params;
}

/** The first of `routes` whose path matches, literal parts before parameters. */
export function findRoute<R extends { path: string }>(
  routes: readonly R[],
  path: string,
): { route: R; params: Params } | null {
  let best: { route: R; params: Params } | null = null;
  for (const route of routes) {
    const params = matchPath(route.path, path);
    if (params === null) continue;
    if (best === null || Object.keys(params).length < Object.keys(best.params).length) best = { route, params };
  }
  return best;
}

/** The address of a pattern with its parameters and a query; null and undefined are left out. */
export function fillPath(
  pattern: string,
  params: Readonly<Record<string, string | number>> = {},
  query: Readonly<Record<string, string | number | null | undefined>> = {},
): string {
  const path = pattern.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(String(params[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  return search.size > 0 ? `${path}?${search}` : path;
}

function partsOf(path: string): string[] {
  return path.split("/").filter(Boolean);
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

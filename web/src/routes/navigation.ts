import type { IconName } from "../components/ui/icons";
import { findRoute } from "../lib/paths";
import type { Key } from "../lib/text.svelte";
import type { Audience } from "./route";
import { mayVisit, routes } from "./routes";

/** A place in the navigation. It shows once there is a page at its path. */
export interface Place {
  path: string;
  text: Key;
  icon: IconName;
  group: "own" | "person" | "staff";
  /** It has a place of its own in the bar of a phone. */
  thumb?: true;
}

const PLACES: readonly Place[] = [
  { path: "/", text: "nav.overview", icon: "overview", group: "own", thumb: true },
  { path: "/earnings", text: "nav.earnings", icon: "earnings", group: "own", thumb: true },
  { path: "/nodes", text: "nav.nodes", icon: "nodes", group: "own", thumb: true },
  { path: "/network", text: "nav.network", icon: "network", group: "own", thumb: true },
  { path: "/referrals", text: "nav.referrals", icon: "referrals", group: "own" },
  { path: "/rewards", text: "nav.rewards", icon: "rewards", group: "own" },
  { path: "/notifications", text: "nav.notifications", icon: "notifications", group: "person" },
  { path: "/settings", text: "nav.settings", icon: "settings", group: "person" },
  { path: "/admin", text: "nav.admin", icon: "admin", group: "staff" },
];

/** The places for somebody of this role. */
export function placesFor(role: string): Place[] {
  return PLACES.filter(({ path }) => {
    const audience = audienceOf(path);
    return audience !== null && mayVisit(audience, role);
  });
}

/** Whether `path` lies at a place or below it. */
export function isAt(place: string, path: string): boolean {
  return place === "/" ? path === "/" : path === place || path.startsWith(`${place}/`);
}

function audienceOf(path: string): Audience | null {
  return findRoute(routes, path)?.route.for ?? null;
}

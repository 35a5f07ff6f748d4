import { type ExtendedFeature, geoEqualEarth, geoPath } from "d3-geo";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import atlas from "world-atlas/countries-110m.json";

import { codeOfNumber, smallPlaces } from "./places";

export const WIDTH = 960;
export const HEIGHT = 440;

/** A country as the map draws it: its outline, and the point where its marks stand. */
export interface Outline {
  /** ISO 3166-1, null for a place that has none. */
  code: string | null;
  path: string;
  x: number;
  y: number;
}

const ANTARCTICA = "AQ";

/** The world, drawn once: its countries' outlines and the places of those too small for one. */
function draw(): { outlines: Outline[]; spots: ReadonlyMap<string, { x: number; y: number }> } {
  const topology = atlas as unknown as Topology<{ countries: GeometryCollection }>;
  const { features } = feature(topology, topology.objects.countries);
  const shown = features.filter(({ id }) => codeOfNumber.get(String(id)) !== ANTARCTICA);
  const projection = geoEqualEarth().fitExtent(
    [
      [4, 4],
      [WIDTH - 4, HEIGHT - 4],
    ],
    { type: "FeatureCollection", features: shown },
  );
  const path = geoPath(projection).digits(1);
  const outlines = shown.map((each): Outline => {
    const [x, y] = path.centroid(largest(each));
    return { code: codeOfNumber.get(String(each.id)) ?? null, path: path(each) ?? "", x: round(x), y: round(y) };
  });
  const spots = new Map<string, { x: number; y: number }>();
  for (const [code, place] of smallPlaces) {
    const [x, y] = projection(place) ?? [0, 0];
    spots.set(code, { x: round(x), y: round(y) });
  }
  for (const { code, x, y } of outlines) if (code !== null) spots.set(code, { x, y });
  return { outlines, spots };
}

/** Of a country in several parts the one with the largest area: its mark should not stand in the sea. */
function largest(each: ExtendedFeature): ExtendedFeature {
  if (each.geometry?.type !== "MultiPolygon") return each;
  const flat = geoPath();
  const parts = each.geometry.coordinates.map(
    (coordinates): ExtendedFeature => ({ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates } }),
  );
  return parts.reduce((most, part) => (flat.area(part) > flat.area(most) ? part : most));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export const world = draw();

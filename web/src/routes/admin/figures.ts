import type { ClusterMetrics, Process } from "../../lib/api";

/** One reading of `/metrics.json`. */
export interface Reading {
  /** When it was read, in milliseconds of a clock that only goes forward. */
  at: number;
  processes: readonly Process[];
}

/** A figure of the cluster, one value for each reading; null: not measured. */
export type Line = readonly (number | null)[];

type Kind = Process["kind"];

/** The number of a metric of a process; null when it tells none. */
export function metric(process: Process, name: string): number | null {
  const value = Number(process.metrics[name] ?? Number.NaN);
  return Number.isFinite(value) ? value : null;
}

/** A gauge of all processes of a kind, put together; null where none tells it. */
export function gauge(readings: readonly Reading[], kind: Kind, name: string, put: (...values: number[]) => number = sum): Line {
  return readings.map(({ processes }) => {
    const values = of(processes, kind).flatMap((process) => metric(process, name) ?? []);
    return values.length === 0 ? null : put(...values);
  });
}

/**
 * What a counter grew by in a second, of all processes of a kind. The first reading has no value: there is
 * nothing to compare it with. Processes that began in between count from the next reading on.
 */
export function rate(readings: readonly Reading[], kind: Kind, names: readonly string[]): Line {
  return readings.map((reading, index) => {
    const before = readings[index - 1];
    if (before === undefined || reading.at <= before.at) return null;
    const known = new Map(before.processes.map((process) => [process.process_id, process]));
    const grown = of(reading.processes, kind).map((process) => growth(process, known.get(process.process_id), names));
    return grown.length === 0 ? null : (sum(...grown) * 1_000) / (reading.at - before.at);
  });
}

/** The same of one process. */
export function rateOf(readings: readonly Reading[], id: string, names: readonly string[]): Line {
  return rate(
    readings.map(({ at, processes }) => ({ at, processes: processes.filter(({ process_id }) => process_id === id) })),
    kindOf(id),
    names,
  );
}

/** The processes as they were last, by kind and name. */
export function latest(cluster: ClusterMetrics | null): readonly Process[] {
  const order = ["worker", "api", "jobs"];
  return [...(cluster?.processes ?? [])].sort(
    (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.process_id.localeCompare(b.process_id),
  );
}

function growth(process: Process, before: Process | undefined, names: readonly string[]): number {
  return sum(
    ...names.map((name) => {
      const now = metric(process, name) ?? 0;
      // One that was not there before, or began anew, counts nothing: since when is not known.
      const then = before === undefined ? null : metric(before, name);
      return then === null || then > now ? 0 : now - then;
    }),
  );
}

function of(processes: readonly Process[], kind: Kind): Process[] {
  return processes.filter((process) => process.kind === kind);
}

function kindOf(id: string): Kind {
  return id.slice(0, id.lastIndexOf("-"));
}

function sum(...values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

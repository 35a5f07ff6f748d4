import type { Process } from "../../lib/api";
import { metric } from "./figures";

/** Something that an operator wants to know before anybody complains. */
export interface Finding {
  /** Names its text: `admin.health.<name>`. */
  name:
    | "no_worker"
    | "no_jobs"
    | "no_leader"
    | "failing"
    | "bus"
    | "late_ticks"
    | "ingest"
    | "epoch_late"
    | "ledger"
    | "errors"
    | "draining"
    | "mails";
  tone: "bad" | "wait";
  count: number;
}

/** Seconds that an event loop may lag, and that reports may wait, before it is worth a word. */
const LAG_S = 0.25;
const INGEST_MS = 10_000;
const MAILS = 50;

/** All that is not as it should be, the worst first; none: all is well. */
export function findings(processes: readonly Process[]): readonly Finding[] {
  const of = (kind: string): Process[] => processes.filter((process) => process.kind === kind);
  const [workers, apis, jobs] = [of("worker"), of("api"), of("jobs")];
  const all = (group: readonly Process[], name: string): number =>
    group.reduce((total, process) => total + (metric(process, name) ?? 0), 0);
  const count = (group: readonly Process[], test: (process: Process) => boolean): number => group.filter(test).length;

  const found: Finding[] = [
    { name: "no_worker", tone: "bad", count: workers.length === 0 ? 1 : 0 },
    { name: "no_jobs", tone: "bad", count: jobs.length === 0 ? 1 : 0 },
    { name: "no_leader", tone: "bad", count: jobs.length > 0 && all(jobs, "jobs_leading") === 0 ? 1 : 0 },
    { name: "ledger", tone: "bad", count: all(jobs, "ledger_findings") },
    { name: "failing", tone: "bad", count: all(jobs, "jobs_failing") },
    { name: "bus", tone: "bad", count: count(workers, (each) => metric(each, "bus_connected") === 0) },
    { name: "late_ticks", tone: "wait", count: count(workers, (each) => (metric(each, "loop_lag_seconds") ?? 0) > LAG_S) },
    { name: "ingest", tone: "wait", count: count(jobs, (each) => (metric(each, "ingest_oldest_ms") ?? 0) > INGEST_MS) },
    { name: "epoch_late", tone: "wait", count: count(jobs, (each) => (metric(each, "epoch_overdue_ms") ?? 0) > 0) },
    { name: "errors", tone: "wait", count: all(apis, "http_responses_5xx_total") },
    { name: "mails", tone: "wait", count: all(jobs, "mails_waiting") > MAILS ? all(jobs, "mails_waiting") : 0 },
    { name: "draining", tone: "wait", count: count(workers, (each) => metric(each, "draining") === 1) },
  ];
  return found.filter(({ count }) => count > 0);
}

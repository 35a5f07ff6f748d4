import { useApp } from "../../lib/app";
import { type Period, periodOf } from "./periods";

const YOUNG_MS = 3 * 86_400_000;

/** What the address says about the series to show. */
export interface Chosen {
  readonly period: Period;
  /** RFC 3339; null: as far as fits a chart, up to now. */
  readonly from: string | null;
  readonly to: string | null;
  readonly node: string | null;
  /** The parameters of the API's series; of `node` those of that node. */
  query(node: string | null): { period: Period; from: string | null; to: string | null; node_id: string | null };
  choose(period: Period): void;
}

/** Follow the address; call it while a component is made. */
export function useChosen(): Chosen {
  const { router, session, clock } = useApp();
  // Who has just begun has a few hours to look at, not days.
  const usual: Period = clock.now - Date.parse(session.user?.created_at ?? "") < YOUNG_MS ? "hour" : "day";
  return {
    get period() {
      return periodOf(router.query.get("period")) ?? usual;
    },
    get from() {
      return router.query.get("from");
    },
    get to() {
      return router.query.get("to");
    },
    get node() {
      return router.query.get("node");
    },
    query(node) {
      return { period: this.period, from: this.from, to: this.to, node_id: node };
    },
    choose(period) {
      router.refine({ period: period === usual ? null : period, from: null, to: null });
    },
  };
}

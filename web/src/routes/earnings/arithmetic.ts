import type { BonusShare, EpochExplained, NodeShare } from "../../lib/api";
import { CATEGORIES, type Category } from "./words";

const HOUR_S = 3_600n;
const QUARTERS = 4n;
/** Scores and shares are in these parts. */
const PARTS = 10_000n;

/** An epoch computed again: how many steps there are, and which did not come to what the server says. */
export interface Recount {
  steps: number;
  wrong: string[];
}

/** What was booked by a category: how much of it this epoch's work explains, and what else there is. */
export interface BookedPart {
  category: Category;
  booked: bigint;
  /** Of the nodes and bonuses shown; null: that is not known here. */
  computed: bigint | null;
  /** Corrections of earlier epochs; null as above. */
  other: bigint | null;
}

/** Part of a pool: rounded down; nothing where nobody has any weight. */
export function shareOf(pool: bigint, weight: bigint, total: bigint): bigint {
  return total === 0n ? 0n : (pool * weight) / total;
}

/** What a category has in an hour; null: it has no pool of its own that is shared out by weight. */
export function rateOf({ terms }: EpochExplained, category: Category): bigint | null {
  if (category === "availability") return BigInt(terms.availability_pool);
  return category === "usage" ? BigInt(terms.usage_pool) : null;
}

/** Compute an epoch again from what it was measured with, to the last micro-point. */
export function recount(explained: EpochExplained): Recount {
  const found: Recount = { steps: 0, wrong: [] };
  const holds = (name: string, said: string, computed: bigint): void => {
    found.steps += 1;
    if (BigInt(said) !== computed) found.wrong.push(`${name}: ${said} ≠ ${computed}`);
  };
  const { epoch, nodes, bonuses } = explained;
  const seconds = BigInt(explained.seconds);
  for (const { category, pool, rewarded, unallocated } of epoch.pools) {
    const rate = rateOf(explained, category);
    if (rate !== null) holds(`pool ${category}`, pool, (rate * seconds) / HOUR_S);
    holds(`pool ${category} = rewarded + unallocated`, pool, BigInt(rewarded) + BigInt(unallocated));
  }
  for (const node of nodes) {
    holds(`points ${node.node_id}`, String(node.points), pointsOf(node, explained));
    holds(`availability_weight ${node.node_id}`, node.availability_weight, BigInt(node.seconds) * BigInt(node.points));
    holds(`usage_weight ${node.node_id}`, node.usage_weight, BigInt(node.bytes));
    for (const { category, pool, weight } of epoch.pools) {
      if (category !== "availability" && category !== "usage") continue;
      const own = BigInt(node[`${category}_weight`]);
      holds(`${category} ${node.node_id}`, node[category], shareOf(BigInt(pool), own, BigInt(weight)));
    }
  }
  if (bonuses === null) return found;
  const [pool, wanted] = [BigInt(bonuses.pool), BigInt(bonuses.wanted)];
  holds("bonus pool", bonuses.pool, (BigInt(explained.terms.bonus_pool) * seconds) / HOUR_S);
  for (const bonus of bonuses.own) {
    const name = bonus.campaign?.name ?? bonus.category;
    const own = wantedOf(bonus, explained);
    if (own !== null) holds(`${name} wanted`, bonus.wanted, own);
    holds(name, bonus.amount, scaled(BigInt(bonus.wanted), pool, wanted));
  }
  return found;
}

/** What was booked by each category, told apart. */
export function bookedParts({ booked, nodes, bonuses }: EpochExplained): BookedPart[] {
  return CATEGORIES.flatMap((category) => {
    const lines = booked.filter((each) => each.category === category);
    if (lines.length === 0) return [];
    const sum = lines.reduce((all, { amount }) => all + BigInt(amount), 0n);
    let computed: bigint | null = null;
    if (category === "availability" || category === "usage") {
      if (nodes.length > 0) computed = nodes.reduce((all, node) => all + BigInt(node[category]), 0n);
    } else if (category !== "referral" && bonuses !== null) {
      const own = bonuses.own.filter((each) => each.category === category);
      if (own.length > 0) computed = own.reduce((all, { amount }) => all + BigInt(amount), 0n);
    }
    return [{ category, booked: sum, computed, other: computed === null ? null : sum - computed }];
  });
}

function pointsOf({ score, gate }: NodeShare, { terms }: EpochExplained): bigint {
  return score === null ? (BigInt(terms.unmeasured_score) * BigInt(gate)) / QUARTERS : BigInt(score);
}

/** What of a bonus is paid, where so much is wanted of the pool in all. */
function scaled(amount: bigint, pool: bigint, wanted: bigint): bigint {
  return wanted <= pool ? amount : (amount * pool) / wanted;
}

/** What a bonus is before the pool's limit; null: there is not enough here to tell. */
function wantedOf({ category, campaign, seconds, reward }: BonusShare, { terms, nodes, seconds: length }: EpochExplained): bigint | null {
  if (category === "streak" && terms.streak) return BigInt(terms.streak.amount);
  if (reward === null) return null;
  if (campaign) {
    const bonus = (BigInt(reward) * BigInt(campaign.share) * BigInt(campaign.seconds)) / (PARTS * BigInt(length));
    return scaled(bonus, BigInt(campaign.available), BigInt(campaign.wanted));
  }
  const all = nodes.reduce((sum, node) => sum + BigInt(node.seconds), 0n);
  if (category !== "first_hours" || !terms.first_hours || seconds === null || all === 0n) return null;
  return (BigInt(reward) * BigInt(terms.first_hours.share) * BigInt(seconds)) / (PARTS * all);
}

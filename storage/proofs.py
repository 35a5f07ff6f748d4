"""What holds of everything that is kept of earnings, and computing a closed epoch again.

The arithmetic is that of `storage.epochs`; this only compares.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from storage.base.campaigns import CampaignInputs
from storage.base.epochs import Epoch, Terms, TermsVersion
from storage.base.ledger import Category, Finding, Posting
from storage.base.proofs import Helped, Recorded
from storage.campaigns import campaign_bonus
from storage.epochs import (
    BONUSES,
    WORK,
    Hold,
    Measured,
    Share,
    final_at,
    first_bonus,
    hold_of,
    parts,
    pool_of,
    postings_of,
    rates_of,
    reward_key,
    scaled,
    seconds_of,
    share_of,
    weights_of,
)
from storage.ledger import sums_by_category
from storage.referrals import LEVELS, WHOLE

#: What `ProofStore.check` looks for, by name.
STORED = {
    "epoch_gap": "epoch {number} begins at {starts_at}, epoch {former} before it ends at {former_ends_at}",
    "epoch_state": "epoch {number} (closed {closed_at}, final at {final_at}: {final}) is in the wrong state;"
    " epochs are closed to {closed_to}",
    "epoch_terms": "epoch {number} was closed by terms {terms} and is final at {final_at}: those are not its"
    " own, or older than {former}, or say another time",
    "pool_size": "epoch {number} has a pool of {pool} for {category}, its terms give {wanted}",
    "pool_cap": "epoch {number} paid {paid} from its {name} pool of {pool}",
    "pool_booked": "epoch {number} says {pool} for {category}, {unallocated} of it unallocated; the ledger"
    " has {booked} and {booked_unallocated}",
    "pool_nodes": "epoch {number} paid {availability} and {usage} to {nodes} nodes; those recorded are"
    " {recorded} with {recorded_availability} and {recorded_usage}, or have other weights",
    "pool_days": "on day {day} epochs paid {availability} and {usage}, their nodes got"
    " {kept_availability} and {kept_usage} on it",
    "campaign_spent": "campaign {campaign_id} has spent {spent} of {budget}, its epochs come to {paid}",
    "campaign_pool": "epoch {number} paid {rewarded} for campaigns, theirs come to {paid}",
    "correction": "entry {entry_id} corrects {category} of epoch {number} by {amount}: not a reward, or more"
    " than its pool of {pool}",
    "moved": "entry {entry_id} only moves amounts, and {user_id} comes to {amount} for {category} by it",
    "matured": "account {account} of {user_id} still has {amount} for {category} that was final at"
    " {matures_at}",
    "claim": "entry {entry_id} left account claimable of {user_id} at {rest} for {category}",
    "referral_cycle": "{user_id}, brought by {parent_id}, is in a circle or below one",
    "referral_age": "{user_id} joined at {joined_at}, brought by {parent_id}, who is from {created_at}",
    "referral_level": "{user_id} has {second_id} and {third_id} above the parent, the parent has"
    " {wanted_second} and {wanted_third}",
    "commission_level": "{user_id} was paid for {referee_id} at level {level}, and is not above them there",
    "commission_booked": "{user_id} was paid {earned} for referrals, {held} of it held; the ledger has"
    " {booked} and {booked_held}",
    "commission_lost": "of commissions {lost} could not be taken back, the house lost {booked}",
    "commission_share": "{user_id} was paid {amount} for {referee_id} at level {level}, whose work earned"
    " {earned}",
}

#: What is found by asking as people ask, and by computing again.
ASKED = {
    "figure": "{screen} says {shown} for {figure} of {user_id}, the postings come to {amount}",
    "computed": "epoch {number}: {what} of {whose} is {kept}, computed again it is {computed}",
}

INVARIANTS = STORED | ASKED


def finding(invariant: str, **row: object) -> Finding:
    """That `invariant` does not hold, as the first offending `row` shows."""
    return Finding(invariant=invariant, row=row, detail=INVARIANTS[invariant].format(**row))


def most_shares(versions: Iterable[TermsVersion]) -> list[int]:
    """The most that there ever was of what work earns, by level, in 10,000ths of 10,000ths."""
    most = [0] * len(LEVELS)
    for version in versions:
        terms = version.terms.referrals
        multiplier = max([WHOLE, *(tier.multiplier for tier in terms.tiers)])
        most = [max(known, share * multiplier) for known, share in zip(most, terms.shares, strict=True)]
    return most


def pay_keys(number: int) -> list[str]:
    """The keys of the entries that booked what work and bonuses earned in an epoch."""
    return [*(reward_key(number, category) for category in WORK), f"epoch:{number}:bonus"]


class Recomputation:
    """What a closed epoch paid for work and for bonuses, once more, person by person, in any order.

    Everything is compared with what was kept and with what was booked; the first difference is `found`. It
    takes no more memory for more people.
    """

    def __init__(self, epoch: Epoch, terms: Terms, campaigns: Sequence[CampaignInputs]) -> None:
        self._epoch = epoch
        self._terms = terms
        self._campaigns = campaigns
        self._seconds = seconds_of(epoch.starts_at, epoch.ends_at)
        self._final = final_at(epoch.ends_at, terms)
        self._kept = {pool.category: pool for pool in epoch.pools}
        self._sizes = {category: pool_of(rate, self._seconds) for category, rate in rates_of(terms).items()}
        # All bonuses share one pool, and are scaled by what all of them would come to.
        self._bonus_pool = pool_of(terms.bonus_pool, self._seconds)
        self._wanted = sum(self._kept[category].weight for category in BONUSES if category in self._kept)
        self._nodes = 0
        self._weights: Counter[Category] = Counter()
        self._rewards: Counter[Category] = Counter()
        self._campaign_wanted: Counter[UUID] = Counter()
        self._campaign_paid: Counter[UUID] = Counter()
        self.found: Finding | None = None

    def person(
        self, user_id: UUID, nodes: Sequence[Recorded], helped: Sequence[Helped], booked: Sequence[Posting]
    ) -> None:
        """All `nodes` of somebody, what `helped` to a bonus, and what was `booked` for it all."""
        shares: list[Posting] = []
        rewards = [self._node(node) for node in nodes]
        for category in WORK:
            parts_of = [
                part
                for node, reward in zip(nodes, rewards, strict=True)
                for part in parts(user_id, reward[category], self._hold(node), self._final)
            ]
            shares += postings_of(parts_of, category)
        sums = [sum(reward.values()) for reward in rewards]
        granted: dict[Category, list[Share]] = {category: [] for category in BONUSES}
        for category, amount in self._bonuses(nodes, sums, helped):
            self._rewards[category] += amount
            share = Share(user_id=user_id, held=False, matures_at=self._final, amount=amount)
            granted[category].append(share)
        for category, bonuses in granted.items():
            shares += postings_of(bonuses, category)
        # When a node was made says how much of it is held, and nothing else.
        known = all(node.created_at is not None for node in nodes)
        in_order = _in_order if known else _by_category
        self._compare("bookings", user_id, in_order(booked), in_order(shares))

    def end(self) -> None:
        """There are no more people."""
        self._compare("number of nodes", "all", self._epoch.nodes, self._nodes)
        for category in (*WORK, *BONUSES):
            kept, rewarded = self._kept.get(category), self._rewards[category]
            size = self._sizes.get(category, rewarded)
            computed = size, self._weights[category], rewarded, size - rewarded
            said = (kept.pool, kept.weight, kept.rewarded, kept.unallocated) if kept else (0, 0, 0, 0)
            for what, one, other in zip(
                ("pool", "weight", "rewarded", "unallocated"), said, computed, strict=True
            ):
                self._compare(f"{what} of {category}", "all", one, other)
        for campaign in self._campaigns:
            campaign_id = campaign.campaign_id
            self._compare("wanted", campaign_id, campaign.wanted, self._campaign_wanted[campaign_id])
            self._compare("paid", campaign_id, campaign.paid, self._campaign_paid[campaign_id])

    def _node(self, node: Recorded) -> dict[Category, int]:
        """What a node's work earns."""
        self._nodes += 1
        weights = weights_of(_measured(node, self._epoch.starts_at), self._terms)
        rewards: dict[Category, int] = {}
        for category, weight, kept in zip(WORK, weights, (node.availability, node.usage), strict=True):
            total = self._kept[category].weight if category in self._kept else 0
            reward = share_of(self._sizes[category], weight, total)
            if node.erased and kept == 0:
                reward = 0
            self._compare(f"{category} of node", node.node_id, kept, reward)
            self._weights[category] += weight
            self._rewards[category] += reward
            rewards[category] = reward
        return rewards

    def _bonuses(
        self, nodes: Sequence[Recorded], earned: Sequence[int], helped: Sequence[Helped]
    ) -> Iterator[tuple[Category, int]]:
        """What comes on top of what somebody's `nodes` `earned`, each bonus by itself."""
        own = helped[0] if helped else None
        if own is not None and own.streak and self._terms.streak is not None:
            yield "streak", self._granted("streak", self._terms.streak.amount)
        if own is not None and own.first_seconds:
            seconds = sum(node.seconds for node in nodes)
            bonus = first_bonus(sum(earned), own.first_seconds, seconds, self._terms)
            yield "first_hours", self._granted("first_hours", bonus)
        for campaign in self._campaigns:
            reward = sum(
                amount
                for node, amount in zip(nodes, earned, strict=True)
                if campaign.country in (None, node.country)
            )
            bonus = campaign_bonus(reward, campaign.share, campaign.seconds, self._seconds)
            self._campaign_wanted[campaign.campaign_id] += bonus
            limited = scaled(bonus, campaign.available, campaign.wanted)
            paid = self._granted("campaign", limited)
            self._campaign_paid[campaign.campaign_id] += paid
            yield "campaign", paid

    def _granted(self, category: Category, bonus: int) -> int:
        """What of a bonus is paid."""
        self._weights[category] += bonus
        return scaled(bonus, self._bonus_pool, self._wanted)

    def _hold(self, node: Recorded) -> Hold | None:
        return hold_of(node.created_at or self._epoch.starts_at, self._epoch.ends_at, self._terms)

    def _compare(self, what: str, whose: object, kept: object, computed: object) -> None:
        if kept != computed and self.found is None:
            self.found = finding(
                "computed", number=self._epoch.number, what=what, whose=whose, kept=kept, computed=computed
            )


def _measured(node: Recorded, created_at: datetime) -> Measured:
    return Measured(
        node_id=node.node_id,
        user_id=node.user_id,
        created_at=created_at,
        seconds=node.seconds,
        score=node.score,
        gate=node.gate,
        bytes=node.bytes,
    )


def _in_order(postings: Iterable[Posting]) -> list[tuple[str, str, str, int]]:
    return sorted(
        (posting.category, posting.account, str(posting.matures_at), posting.amount) for posting in postings
    )


def _by_category(postings: Iterable[Posting]) -> list[tuple[str, int]]:
    return sorted(sums_by_category(postings).items())

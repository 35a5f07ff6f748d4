"""Epochs: what a span of time paid, for what, by which terms, and from which measurements."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from storage.base.campaigns import CampaignInputs
from storage.base.ledger import Category, Earned
from storage.base.referrals import ReferralTerms


class HoldBack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of what a node earns before it is `days` old, `share` (in 10,000ths) is held until it is."""

    days: int
    share: int


class Streak(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every `days` days in a row (UTC), each with `least_seconds` confirmed, earn `amount` micro-points."""

    days: int
    least_seconds: int
    amount: int


class FirstHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's first `hours` confirmed hours earn `share` (10,000ths) of what work earns in them on top."""

    hours: int
    share: int


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of the calculation; `storage.epochs` has the arithmetic.

    Pools are micro-points an hour, 0 to 10^15; an epoch's is its part of that, rounded down. A node whose
    score is not measured counts with `unmeasured_score`, and its gates. What is earned is final after
    `hold_seconds`. `minimum_payout` is the least that becomes claimable. Of `holdback` the step with the
    fewest days that the node has not reached holds.
    """

    availability_pool: int
    usage_pool: int
    bonus_pool: int
    referral_pool: int
    unmeasured_score: int
    hold_seconds: int
    holdback: list[HoldBack]
    streak: Streak | None
    first_hours: FirstHours | None
    minimum_payout: int
    referrals: ReferralTerms = ReferralTerms()


class TermsVersion(Struct, frozen=True, kw_only=True):
    """Terms as they once were. They never change.

    An epoch is closed by the newest that are from before it, by the oldest if none are.
    """

    version: int
    created_at: datetime
    terms: Terms


class Pool(Struct, frozen=True, kw_only=True):
    """What an epoch had for a category: `pool` = `rewarded` + `unallocated`.

    `weight` is the sum of all weights. Of a bonus, which has only a part in a pool, `pool` is what was paid
    and `weight` what was wanted of the pool. Only those are there of which anything was.
    """

    category: Category
    pool: int
    weight: int
    rewarded: int
    unallocated: int


class Epoch(Struct, frozen=True, kw_only=True):
    """A closed span [`starts_at`, `ends_at`). `number` counts from 1.

    `final`: no correction will come any more. `nodes` did anything in it, `users` are their owners.
    """

    number: int
    starts_at: datetime
    ends_at: datetime
    terms: int
    closed_at: datetime
    final: bool
    nodes: int
    users: int
    pools: list[Pool]


class NodeInputs(Struct, frozen=True, kw_only=True):
    """What a node was measured with in an epoch, and what it came to.

    `score` is None where it was not measured; `gate` is in quarters. `bytes` are those of the hours that the
    epoch has a part of, but for those that an epoch before had. Weights and rewards are by category
    (availability, usage); `seconds` are confirmed ones within the epoch. Corrections are not in it.
    `country` is where it was if a campaign paid by country in the epoch, else None.
    """

    node_id: UUID
    seconds: int
    score: int | None
    gate: int
    bytes: int
    availability_weight: int
    usage_weight: int
    availability: int
    usage: int
    country: str | None = None


class BonusInputs(Struct, frozen=True, kw_only=True):
    """What somebody's bonuses in an epoch were made from.

    `first_seconds` of their seconds were among their first hours, where that earned anything; `streak` is
    how many days in a row they completed in it, where that did. `campaigns` are all that paid in the epoch.
    """

    first_seconds: int
    streak: int
    campaigns: list[CampaignInputs]


class NodeEarned(Struct, frozen=True, kw_only=True):
    """What a node did in a closed epoch, and what it came to, as in `NodeInputs`."""

    epoch: int
    starts_at: datetime
    ends_at: datetime
    seconds: int
    score: int | None
    gate: int
    bytes: int
    availability: int
    usage: int


class PrunedEpochs(Struct, frozen=True, kw_only=True):
    """How many `epochs` can be computed again no longer; how many `months` nodes' days were dropped of.

    Not `complete`: something was in use; call it again.
    """

    epochs: int
    months: int
    complete: bool


class Accruing(Struct, frozen=True, kw_only=True):
    """What somebody's nodes have done in an epoch that is not closed: their weights, as if it closed now."""

    availability_weight: int
    usage_weight: int


class OpenEpoch(Struct, frozen=True, kw_only=True):
    """A span that is not closed yet; the sums are over all nodes, as of `measured_at`.

    Bytes are told apart by the hour only. `usage_weight` is None where it is not known whose they are: an
    epoch before this one that has a part of the same hour was not closed then.
    """

    number: int
    starts_at: datetime
    ends_at: datetime
    terms: TermsVersion
    measured_at: datetime | None
    availability_weight: int
    usage_weight: int | None


#: Epochs that are measured before they are closed, where closing them is late.
UNCLOSED_MOST = 8

#: What is kept of so many epochs is dropped together.
EPOCHS_TOGETHER = 24

State = Literal["waiting", "closed", "nothing"]


class EpochStore(Protocol):
    """Closes epochs one after the other. A close is one transaction: its inputs, its bookings, its mark.

    Two at once: one waits for the other and finds it done.
    """

    async def set_terms(self, terms: Terms, at: datetime) -> TermsVersion:
        """Add `terms` as the next version unless the newest are the same; returns the newest."""
        ...

    async def terms(self) -> list[TermsVersion]:
        """All versions, the oldest first."""
        ...

    async def begin(self, at: datetime, seconds: int) -> None:
        """Let epochs of `seconds` begin: the first at the last edge up to `at`, if there is none yet.

        Another length counts from the first edge of both after the newest closed epoch's end.

        Raises:
            NotFound: "terms_unknown": `set_terms` comes first.
        """
        ...

    async def close(self, at: datetime, settled_to: datetime) -> Epoch | None:
        """Close the oldest open epoch if it ended by `settled_to`; None when there is nothing to close.

        Everything measured before `settled_to` is in the store. What matures up to the epoch's end becomes
        final, by that and not by `at`, which is only when it was closed; so do the epochs that are old enough
        by then, with the corrections of what was measured late booked in the epoch that is closed. Of whoever
        has the least payout final, all of it becomes claimable.
        """
        ...

    async def measure(self, at: datetime) -> OpenEpoch:
        """Sum up weights over all nodes, and keep the sums; returns the open epoch.

        Those of the open epoch and, if it has ended by `at`, of those that come after it, up to the one that
        `at` is in; of `UNCLOSED_MOST` at most.

        Raises:
            NotFound: "epoch_unknown": none has begun.
        """
        ...

    async def open(self) -> OpenEpoch | None:
        """The epoch that is closed next, with the newest sums; None before `begin`."""
        ...

    async def unclosed(self) -> list[OpenEpoch]:
        """The open epoch, and those after it that `measure` has summed up already: the oldest first.

        With the newest sums; empty before `begin`.
        """
        ...

    async def accruing(
        self, user_ids: Sequence[UUID], epochs: Sequence[OpenEpoch]
    ) -> dict[UUID, list[Accruing]]:
        """Each one's own weights in each of `epochs`, which `unclosed` told of, now.

        As many queries as there are epochs, however many people. Where a `usage_weight` would not be known
        it is 0.
        """
        ...

    async def epochs(self, before: int | None, limit: int) -> list[Epoch]:
        """Closed ones, the newest first, with numbers below `before`."""
        ...

    async def epoch(self, number: int) -> Epoch | None:
        """A closed one."""
        ...

    async def inputs(self, number: int, user_id: UUID) -> list[NodeInputs]:
        """Somebody's nodes in a closed epoch, by id; empty when they had none, or it is kept no longer."""
        ...

    async def bonus_inputs(self, number: int, user_id: UUID) -> BonusInputs:
        """What somebody's bonuses in a closed epoch were made from; campaigns are in order of their ids."""
        ...

    async def node_earned(
        self, user_id: UUID, node_id: UUID, edges: Sequence[datetime]
    ) -> list[Earned] | None:
        """What one of somebody's nodes earned by work between each two neighbours of `edges` (ascending).

        In order of time, by category, without corrections. An epoch counts at its beginning; of those whose
        inputs are dropped (`prune`) days (UTC) are known, which count at their noon. Spans without any are
        left out. None: there is no such node of theirs.
        """
        ...

    async def node_epochs(
        self, user_id: UUID, node_id: UUID, before: int | None, limit: int
    ) -> list[NodeEarned] | None:
        """The epochs in which one of somebody's nodes did anything, the newest first, numbers below `before`.

        As far as the inputs are kept. None: there is no such node of theirs.
        """
        ...

    async def prune(self, ended_before: datetime, days_from: date) -> PrunedEpochs:
        """Drop what nodes were measured with in epochs that are final and ended by `ended_before`.

        What each node earned by them is added up by days before. The oldest go first, always as many epochs
        together as there are from one multiple of `EPOCHS_TOGETHER` to the next. Days before the
        month of `days_from` are dropped.
        """
        ...

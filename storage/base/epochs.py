"""Epochs: what a span of time paid, for what, by which terms, and from which measurements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from storage.base.ledger import Category
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
    and `weight` what all of them would come to.
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


class Accruing(Struct, frozen=True, kw_only=True):
    """What somebody's nodes have done in the epoch that is open, and what all have: enough for an estimate.

    `weight` is theirs and `weight_all` everybody's, as if the epoch closed now, by category.
    """

    availability_weight: int
    usage_weight: int


class OpenEpoch(Struct, frozen=True, kw_only=True):
    """The span that is not closed yet; the sums are over all nodes, as of `measured_at`."""

    number: int
    starts_at: datetime
    ends_at: datetime
    terms: TermsVersion
    measured_at: datetime | None
    availability_weight: int
    usage_weight: int


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
        """Sum up the open epoch's weights over all nodes, keep and return them.

        Raises:
            NotFound: "epoch_unknown": none has begun.
        """
        ...

    async def open(self) -> OpenEpoch | None:
        """The open epoch with the newest sums; None before `begin`."""
        ...

    async def accruing(self, user_ids: Sequence[UUID]) -> dict[UUID, Accruing]:
        """Each one's own weights in the open epoch, now. One query for all of them."""
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

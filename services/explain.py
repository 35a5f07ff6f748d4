"""How an epoch was computed: enough to do it again by hand."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.errors import NotFound
from services.bonuses import METHOD as BONUS_METHOD
from services.bonuses import BonusesView, bonuses_view
from storage.base import (
    Category,
    Epoch,
    EpochStore,
    FirstHours,
    HoldBack,
    LedgerStore,
    NodeInputs,
    Terms,
)
from storage.epochs import points_of, pool_of, rates_of, seconds_of

_METHOD: Final = [
    "All numbers are whole; every division is rounded down.",
    "pool = pool of an hour × seconds of the epoch / 3600",
    "points of a second = the node's score; not measured: unmeasured_score × gate / 4",
    "availability_weight = confirmed seconds × points; usage_weight = bytes",
    "reward = pool × weight of the node / weight of all nodes",
    "pool = rewarded + unallocated",
]


class PoolView(Struct, frozen=True, kw_only=True):
    """What an epoch had for a category: `pool` = `rewarded` + `unallocated`; `weight` is all nodes'."""

    category: Category
    pool: str
    weight: str
    rewarded: str
    unallocated: str


class EpochView(Struct, frozen=True, kw_only=True):
    """A closed epoch, [`starts_at`, `ends_at`). `final`: no correction will come any more."""

    number: int
    starts_at: datetime
    ends_at: datetime
    terms: int
    closed_at: datetime
    final: bool
    nodes: int
    users: int
    pools: list[PoolView]


class StreakView(Struct, frozen=True, kw_only=True):
    """Every `days` days in a row, each with `least_seconds` confirmed, earn `amount`."""

    days: int
    least_seconds: int
    amount: str


class TermsView(Struct, frozen=True, kw_only=True):
    """The numbers of the calculation. Pools are those of an hour; shares and scores are in 10,000ths."""

    version: int
    created_at: datetime
    availability_pool: str
    usage_pool: str
    bonus_pool: str
    referral_pool: str
    unmeasured_score: int
    hold_seconds: int
    holdback: list[HoldBack]
    streak: StreakView | None
    first_hours: FirstHours | None
    minimum_payout: str


class NodeShare(Struct, frozen=True, kw_only=True):
    """What one of one's nodes did in an epoch, and what it came to.

    `points` is what each of its `seconds` counted: the `score`, or what stands for it where it was not
    measured (null). `gate` is in quarters. `country` is where it was, if a campaign paid by country in the
    epoch. `arithmetic` says the same in words and numbers.
    """

    node_id: UUID
    seconds: int
    score: int | None
    gate: int
    points: int
    bytes: int
    country: str | None
    availability_weight: str
    usage_weight: str
    availability: str
    usage: str
    arithmetic: list[str]


class BookedAmount(Struct, frozen=True, kw_only=True):
    """What was booked for somebody by a category."""

    category: Category
    amount: str


class EpochExplained(Struct, frozen=True, kw_only=True):
    """An epoch and one's own part in it.

    `nodes` is empty where one had none, or what they were measured with is kept no longer. `booked` is what
    the ledger has in this epoch, with bonuses and with corrections of earlier ones. `bonuses` null: nobody
    had one.
    """

    epoch: EpochView
    seconds: int
    terms: TermsView
    method: list[str]
    nodes: list[NodeShare]
    bonuses: BonusesView | None
    booked: list[BookedAmount]


class Explanations:
    """Tells what epochs paid, and why."""

    def __init__(self, *, epochs: EpochStore, ledger: LedgerStore) -> None:
        self._epochs = epochs
        self._ledger = ledger

    async def epochs(self, before: int | None, limit: int) -> list[EpochView]:
        """Closed epochs, the newest first, with numbers below `before`."""
        return [epoch_view(epoch) for epoch in await self._epochs.epochs(before, limit)]

    async def explain(self, user_id: UUID, number: int) -> EpochExplained:
        """How `number` was computed for somebody.

        Raises:
            NotFound: "epoch_not_found": there is none, or it is not closed.
        """
        epoch = await self._epochs.epoch(number)
        if epoch is None:
            raise NotFound("epoch_not_found", "There is no closed epoch with this number.")
        (terms,) = [each for each in await self._epochs.terms() if each.version == epoch.terms]
        seconds = seconds_of(epoch.starts_at, epoch.ends_at)
        inputs = await self._epochs.inputs(number, user_id)
        made = await self._epochs.bonus_inputs(number, user_id)
        bonuses = bonuses_view(epoch, terms.terms, inputs, made)
        booked = await self._ledger.earned(user_id, [epoch.starts_at, epoch.ends_at])
        return EpochExplained(
            epoch=epoch_view(epoch),
            seconds=seconds,
            terms=terms_view(terms.version, terms.created_at, terms.terms),
            method=[*_METHOD, *(BONUS_METHOD if bonuses else ()), *_pools(epoch, terms.terms, seconds)],
            nodes=[_share(each, epoch, terms.terms) for each in inputs],
            bonuses=bonuses,
            booked=[BookedAmount(category=each.category, amount=str(each.amount)) for each in booked],
        )


def epoch_view(epoch: Epoch) -> EpochView:
    """`epoch` with its amounts as texts."""
    return EpochView(
        number=epoch.number,
        starts_at=epoch.starts_at,
        ends_at=epoch.ends_at,
        terms=epoch.terms,
        closed_at=epoch.closed_at,
        final=epoch.final,
        nodes=epoch.nodes,
        users=epoch.users,
        pools=[
            PoolView(
                category=each.category,
                pool=str(each.pool),
                weight=str(each.weight),
                rewarded=str(each.rewarded),
                unallocated=str(each.unallocated),
            )
            for each in epoch.pools
        ],
    )


def terms_view(version: int, created_at: datetime, terms: Terms) -> TermsView:
    """`terms` with their amounts as texts."""
    streak = terms.streak
    return TermsView(
        version=version,
        created_at=created_at,
        availability_pool=str(terms.availability_pool),
        usage_pool=str(terms.usage_pool),
        bonus_pool=str(terms.bonus_pool),
        referral_pool=str(terms.referral_pool),
        unmeasured_score=terms.unmeasured_score,
        hold_seconds=terms.hold_seconds,
        holdback=terms.holdback,
        streak=StreakView(days=streak.days, least_seconds=streak.least_seconds, amount=str(streak.amount))
        if streak
        else None,
        first_hours=terms.first_hours,
        minimum_payout=str(terms.minimum_payout),
    )


def _pools(epoch: Epoch, terms: Terms, seconds: int) -> Iterable[str]:
    rates = rates_of(terms)
    for pool in epoch.pools:
        if (rate := rates.get(pool.category)) is not None:
            yield f"pool of {pool.category} = {rate} × {seconds} / 3600 = {pool_of(rate, seconds)}"
        yield f"{pool.category}: {pool.pool} = {pool.rewarded} rewarded + {pool.unallocated} unallocated"


def _share(node: NodeInputs, epoch: Epoch, terms: Terms) -> NodeShare:
    points = points_of(node.score, node.gate, terms)
    weights = {"availability": node.availability_weight, "usage": node.usage_weight}
    rewards = {"availability": node.availability, "usage": node.usage}
    arithmetic = [f"availability_weight = {node.seconds} s × {points} = {node.availability_weight}"]
    if node.score is None:
        arithmetic.insert(0, f"points = {terms.unmeasured_score} × {node.gate} / 4 = {points}")
    for pool in epoch.pools:
        if pool.category in weights and pool.weight:
            weight, reward = weights[pool.category], rewards[pool.category]
            arithmetic.append(f"{pool.category} = {pool.pool} × {weight} / {pool.weight} = {reward}")
    return NodeShare(
        node_id=node.node_id,
        seconds=node.seconds,
        score=node.score,
        gate=node.gate,
        points=points,
        bytes=node.bytes,
        country=node.country,
        availability_weight=str(node.availability_weight),
        usage_weight=str(node.usage_weight),
        availability=str(node.availability),
        usage=str(node.usage),
        arithmetic=arithmetic,
    )

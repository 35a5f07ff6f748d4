"""What people have earned: the one place where every figure that is shown is made.

Booked is what the ledger holds; on top of that comes an estimate of the epoch that is open. Both are of one
moment: never is an amount in both, or in neither, because an epoch was closed in between.
"""

import csv
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from io import StringIO
from itertools import pairwise
from typing import Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from core.clock import Clock
from core.errors import InvalidInput, NotFound
from core.messages import NODES_SHOWN, Accruing, EpochClosed, NodeView, Overview, PoolClosed
from services.estimates import MOST_SAMPLES, Interval, estimate_all, project
from services.periods import Period, edges, end_of, start_of
from services.rounding import to_milliseconds
from services.states import states_of
from storage.base import (
    Account,
    Balances,
    Booked,
    Category,
    Earned,
    Epoch,
    EpochStore,
    FigureStore,
    LedgerStore,
    NodeTotals,
    OpenEpoch,
    UserStore,
    UserTotals,
)
from storage.base.ledger import Kind
from storage.epochs import seconds_of
from storage.uptime import HOUR_S

# A degraded node is connected too.
CONNECTED: Final = frozenset({"online", "degraded"})

T = TypeVar("T")

# Bookings that a piece of the table has.
_TABLE_PAGE = 500
_COLUMNS: Final = (
    "entry_id",
    "at",
    "epoch",
    "kind",
    "key",
    "category",
    "account",
    "micro_points",
    "matures_at",
)
_OUTLOOKS: Final[tuple[Period, ...]] = ("day", "week", "month")
_REACH: Final[dict[Period, timedelta]] = {
    "hour": timedelta(days=2),
    "day": timedelta(days=30),
    "week": timedelta(weeks=26),
    "month": timedelta(days=365),
}


class Projection(Struct, frozen=True, kw_only=True):
    """What a period will have come to by its end, at least and at most, if it goes on as in the last days."""

    amount: str
    least: str
    most: str


class Outlook(Struct, frozen=True, kw_only=True):
    """The day, week or month that it is now: what is booked in it, and what it will come to.

    `projected` None: not enough data.
    """

    period: Period
    start: datetime
    end: datetime
    booked: str
    projected: Projection | None


class EarningsSummary(Struct, frozen=True, kw_only=True):
    """All that somebody has earned. Amounts are micro-points.

    `balance` is all that is booked and the sum of the five after it; `accruing` comes on top. Periods are
    those of `time_zone`. `booked_until` is where the open epoch begins; None: none has begun.
    """

    revision: int
    balance: str
    pending: str
    held: str
    final: str
    claimable: str
    claimed: str
    accruing: Accruing | None
    time_zone: str
    booked_until: datetime | None
    outlooks: list[Outlook]


class EarningsPoint(Struct, frozen=True, kw_only=True):
    """A step of a series. `amount` None: nothing was booked. Not `complete`: not all of it is booked yet."""

    start: datetime
    end: datetime
    amount: str | None
    categories: dict[Category, str]
    complete: bool


class EarningsSeries(Struct, frozen=True, kw_only=True):
    """What was earned from `start` to `end`, a point for every step; `amount` (micro-points) is all of it.

    `node_id`: what that node's work was paid for, without corrections. Of epochs whose inputs are kept no
    longer days of UTC are known: those count where their noon is.
    """

    start: datetime
    end: datetime
    period: Period
    time_zone: str
    node_id: UUID | None
    amount: str
    points: list[EarningsPoint]


class NodeEpoch(Struct, frozen=True, kw_only=True):
    """What a node did in a closed epoch, and what that was paid for: `amount` is both, in micro-points.

    Corrections and bonuses are a person's and not in it. `score` null: not measured; `gate` is in quarters.
    """

    epoch: int
    starts_at: datetime
    ends_at: datetime
    seconds: int
    score: int | None
    gate: int
    bytes: int
    availability: str
    usage: str
    amount: str


class Line(Struct, frozen=True, kw_only=True):
    """What an account got, or gave. `matures_at`: when what is pending or held becomes final."""

    account: Account
    category: Category
    amount: str
    matures_at: datetime | None


class HistoryItem(Struct, frozen=True, kw_only=True):
    """A booking; `amount` is by how much it changed the balance, 0 for a move from one account to another."""

    entry_id: int
    key: str
    kind: Kind
    epoch: int
    at: datetime
    amount: str
    lines: list[Line]


class Earnings:
    """Tells what was earned. `settling` is for how many seconds something measured may take to be stored."""

    def __init__(
        self,
        *,
        figures: FigureStore,
        ledger: LedgerStore,
        epochs: EpochStore,
        users: UserStore,
        clock: Clock,
        settling: int,
    ) -> None:
        self._figures = figures
        self._ledger = ledger
        self._epochs = epochs
        self._users = users
        self._clock = clock
        self._settling = timedelta(seconds=settling)

    async def overview(self, user_id: UUID) -> Overview:
        """The whole live state of one person."""
        return (await self.overviews([user_id]))[user_id]

    async def overviews(self, user_ids: Sequence[UUID]) -> dict[UUID, Overview]:
        """The live state of several people, all from one moment; as many queries as for one."""
        return {user_id: _overview(state) for user_id, state in (await self._states(user_ids)).items()}

    async def summary(self, user_id: UUID) -> EarningsSummary:
        """The same figures as in the overview, by state; and what the current periods will come to."""
        zone = await self._zone(user_id)
        state = (await self._states([user_id]))[user_id]
        balances, epoch = state.balances, state.epoch
        return EarningsSummary(
            revision=state.revision,
            **states_of(balances),
            accruing=state.accruing,
            time_zone=zone.key,
            booked_until=epoch.starts_at if epoch else None,
            outlooks=await self._outlooks(user_id, epoch, zone) if epoch else [],
        )

    async def series(
        self,
        user_id: UUID,
        period: Period,
        start: datetime | None,
        end: datetime | None,
        node_id: UUID | None = None,
    ) -> EarningsSeries:
        """What was earned period by period, of the person's time zone; by one of their nodes, or in all.

        `start` is lowered and `end` raised to full periods. Without an `end` it is now, without a `start`
        as far before as fits a chart.

        Raises:
            InvalidInput: "range_invalid" or "range_too_long".
            NotFound: "node_not_found", also for somebody else's.
        """
        zone = await self._zone(user_id)
        last = end or self._clock.now()
        marks = edges(start or _before(last, _REACH[period]), last, period, zone)
        epoch = await self._epochs.open()
        if node_id is None:
            earned = await self._ledger.earned(user_id, marks)
        else:
            earned = _theirs(await self._epochs.node_earned(user_id, node_id, marks))
        found = _by_start(earned)
        points = [
            _point(first, then, found.get(first, ()), complete=epoch is not None and then <= epoch.starts_at)
            for first, then in pairwise(marks)
        ]
        return EarningsSeries(
            start=marks[0],
            end=marks[-1],
            period=period,
            time_zone=zone.key,
            node_id=node_id,
            amount=str(_sum(each for spans in found.values() for each in spans)),
            points=points,
        )

    async def history(self, user_id: UUID, before: int | None, limit: int) -> list[HistoryItem]:
        """What was booked for somebody, the newest first, with ids below `before`."""
        return [history_item(booked) for booked in await self._ledger.history(user_id, before, limit)]

    async def node_epochs(
        self, user_id: UUID, node_id: UUID, before: int | None, limit: int
    ) -> list[NodeEpoch]:
        """The epochs that one of somebody's nodes did anything in, the newest first, numbers below `before`.

        Raises:
            NotFound: "node_not_found", also for somebody else's.
        """
        found = _theirs(await self._epochs.node_epochs(user_id, node_id, before, limit))
        return [
            NodeEpoch(
                epoch=each.epoch,
                starts_at=each.starts_at,
                ends_at=each.ends_at,
                seconds=each.seconds,
                score=each.score,
                gate=each.gate,
                bytes=each.bytes,
                availability=str(each.availability),
                usage=str(each.usage),
                amount=str(each.availability + each.usage),
            )
            for each in found
        ]

    async def table(self, user_id: UUID) -> AsyncIterator[bytes]:
        """All that was booked for somebody as CSV (RFC 4180), a row for each line, the newest first."""
        rows = StringIO()
        writer = csv.writer(rows)
        writer.writerow(_COLUMNS)
        before: int | None = None
        while page := await self._ledger.history(user_id, before, _TABLE_PAGE):
            for booked in page:
                for line in booked.postings:
                    writer.writerow(
                        (
                            booked.entry_id,
                            booked.at.isoformat(),
                            booked.epoch,
                            booked.kind,
                            booked.key,
                            line.category,
                            line.account,
                            line.amount,
                            line.matures_at.isoformat() if line.matures_at else "",
                        )
                    )
            yield rows.getvalue().encode()
            rows.seek(0)
            rows.truncate()
            before = page[-1].entry_id
        if rows.tell():
            yield rows.getvalue().encode()

    async def newest_closed(self) -> EpochClosed | None:
        """The epoch that was closed last."""
        found = await self._epochs.epochs(None, 1)
        return epoch_closed(found[0]) if found else None

    async def _outlooks(self, user_id: UUID, epoch: OpenEpoch, zone: ZoneInfo) -> list[Outlook]:
        """The current periods and what they come to: one look at the ledger for all of them."""
        now = self._clock.now()
        until = epoch.starts_at
        # Epochs longer than an hour make fuller, rarer samples.
        seconds = max(HOUR_S, seconds_of(epoch.starts_at, epoch.ends_at))
        sample = timedelta(seconds=seconds)
        samples = [until - number * sample for number in range(MOST_SAMPLES, -1, -1)]
        starts = {period: start_of(now, period, zone) for period in _OUTLOOKS}
        marks = sorted({*samples, *starts.values(), now + timedelta(days=1)})
        found = [(each.start, each.amount) for each in await self._ledger.earned(user_id, marks)]
        earned = [0] * (len(samples) - 1)
        for at, amount in found:
            span = bisect_right(samples, at)
            if 0 < span < len(samples):
                earned[span - 1] += amount
        outlooks = []
        for period, start in starts.items():
            end = end_of(start, period, zone)
            booked = sum(amount for at, amount in found if at >= start)
            remaining = max(0, seconds_of(max(until, start), end))
            projected = project(booked, earned, remaining, seconds)
            outlooks.append(
                Outlook(
                    period=period,
                    start=start,
                    end=end,
                    booked=str(booked),
                    projected=_projection(projected) if projected else None,
                )
            )
        return outlooks

    async def _states(self, user_ids: Sequence[UUID]) -> dict[UUID, "_State"]:
        """Everybody's state of one moment."""
        found = await self._figures.look(user_ids)
        return {
            user_id: _State(
                revision=found.revision,
                totals=each.totals,
                balances=each.balances,
                epochs=found.epochs,
                estimate=estimate_all(
                    found.epochs, each.weights, len(each.totals.nodes), settling=self._settling
                ),
            )
            for user_id, each in found.people.items()
        }

    async def _zone(self, user_id: UUID) -> ZoneInfo:
        user = await self._users.by_id(user_id)
        return ZoneInfo(user.time_zone if user else "UTC")


class _State(Struct, frozen=True, kw_only=True):
    """What is known of a person."""

    revision: int
    totals: UserTotals
    balances: Balances
    epochs: list[OpenEpoch]
    estimate: Interval

    @property
    def epoch(self) -> OpenEpoch | None:
        """The one that is closed next."""
        return self.epochs[0] if self.epochs else None

    @property
    def accruing(self) -> Accruing | None:
        """What comes on top of the balance."""
        if not self.epochs:
            return None
        return Accruing(
            epoch=self.epochs[0].number,
            starts_at=self.epochs[0].starts_at,
            ends_at=self.epochs[-1].ends_at,
            amount=str(self.estimate.amount),
            least=str(self.estimate.least),
            most=str(self.estimate.most),
        )


def epoch_closed(epoch: Epoch) -> EpochClosed:
    """The news that `epoch` was closed."""
    return EpochClosed(
        number=epoch.number,
        starts_at=epoch.starts_at,
        ends_at=epoch.ends_at,
        closed_at=epoch.closed_at,
        nodes=epoch.nodes,
        users=epoch.users,
        pools=[
            PoolClosed(each.category, str(each.pool), str(each.rewarded), str(each.unallocated))
            for each in epoch.pools
        ],
    )


def history_item(booked: Booked) -> HistoryItem:
    """A booking as its owner sees it."""
    return HistoryItem(
        entry_id=booked.entry_id,
        key=booked.key,
        kind=booked.kind,
        epoch=booked.epoch,
        at=booked.at,
        amount=str(sum(posting.amount for posting in booked.postings)),
        lines=[
            Line(
                account=posting.account,
                category=posting.category,
                amount=str(posting.amount),
                matures_at=posting.matures_at,
            )
            for posting in booked.postings
        ],
    )


def _overview(state: _State) -> Overview:
    # A retired node is shown no more; what it was confirmed for stays.
    shown = [node for node in state.totals.nodes if not node.retired]
    return Overview(
        revision=state.revision,
        nodes_total=len(shown),
        nodes_online=sum(node.status in CONNECTED for node in shown),
        confirmed_seconds=sum(node.confirmed_seconds for node in state.totals.nodes),
        balance=str(state.balances.earned),
        accruing=state.accruing,
        nodes=[_view(node) for node in shown[:NODES_SHOWN]],
    )


def _view(node: NodeTotals) -> NodeView:
    return NodeView(
        node_id=node.node_id,
        name=node.name,
        state=node.status,
        since=node.since,
        confirmed_seconds=node.confirmed_seconds,
        flapping=node.flapping,
        country=node.country,
        rtt_ms=to_milliseconds(node.rtt_us),
        jitter_ms=to_milliseconds(node.jitter_us),
    )


def _projection(projected: Interval) -> Projection:
    return Projection(amount=str(projected.amount), least=str(projected.least), most=str(projected.most))


def _point(start: datetime, end: datetime, found: Sequence[Earned], *, complete: bool) -> EarningsPoint:
    return EarningsPoint(
        start=start,
        end=end,
        amount=str(_sum(found)) if found else None,
        categories={each.category: str(each.amount) for each in found},
        complete=complete,
    )


def _before(moment: datetime, reach: timedelta) -> datetime:
    try:
        return moment - reach
    except OverflowError:
        raise InvalidInput("range_invalid", "The range is outside the calendar.") from None


def _theirs(found: list[T] | None) -> list[T]:
    """What was found of a node, if it is theirs."""
    if found is None:
        raise NotFound("node_not_found", "You have no node with this id.")
    return found


def _by_start(found: Iterable[Earned]) -> dict[datetime, list[Earned]]:
    spans: dict[datetime, list[Earned]] = {}
    for each in found:
        spans.setdefault(each.start, []).append(each)
    return spans


def _sum(found: Iterable[Earned]) -> int:
    return sum(each.amount for each in found)

"""What is shown as accruing is what the closes book, within the interval that was stated."""

from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.earned import TERMS
from support.stores import make_node, make_user, memory_stores

from core.clock import ManualClock, new_id
from core.messages import Accruing
from services.earnings import Earnings
from storage.base import Batch, Opened, Record, Report
from storage.memory import MemoryDatabase

START = datetime(2026, 3, 4, 5, tzinfo=UTC)
# Nodes are confirmed in the first seconds of each slot; looks, reports and lags are whole slots.
SLOT = 30
HOURS = 2
TOLD_LATE = 3


class Field:
    """Three people, whose nodes each keep to a pace of their own, and what they are shown of it."""

    def __init__(self, paces: list[int], epoch_seconds: int, late: int) -> None:
        self.clock = ManualClock(START)
        self.stores = memory_stores(MemoryDatabase(clock=self.clock))
        self.paces = paces
        self.epoch_seconds = epoch_seconds
        self.settling = late * SLOT
        self.earnings = Earnings(
            figures=self.stores.figures,
            ledger=self.stores.ledger,
            epochs=self.stores.epochs,
            users=self.stores.users,
            clock=self.clock,
            settling=self.settling,
        )
        self.users: list[UUID] = []
        self._nodes: list[tuple[UUID, UUID]] = []
        self._sequence = count(1)

    async def begin(self) -> None:
        await self.stores.epochs.set_terms(replace(TERMS, hold_seconds=10**6), START)
        await self.stores.epochs.begin(START, self.epoch_seconds)
        for _ in range(3):
            user = make_user()
            assert await self.stores.users.add(user)
            self.users.append(user.user_id)
        opened: list[Record] = []
        for place, _ in enumerate(self.paces):
            node = make_node(self.users[place % 3])
            assert await self.stores.nodes.enrol(node)
            self._nodes.append((node.node_id, new_id()))
            opened.append(Opened(*self._nodes[-1], int(START.timestamp()) * 1000, "192.0.2.1"))
        await self._apply(opened)

    async def work(self, slot: int) -> None:
        """What the nodes did in a slot comes in."""
        second = int(START.timestamp()) + slot * SLOT
        hour, start = divmod(second, 3600)
        await self._apply(
            [
                Report(*self._nodes[place], hour, start, start + pace, second + SLOT, bytes_up=pace * 1000)
                for place, pace in enumerate(self.paces)
                if pace
            ]
        )

    async def close(self, *, all_of_it: bool = False) -> None:
        """Close what must be known to its last second by now."""
        settled = self.clock.now() - timedelta(seconds=0 if all_of_it else self.settling)
        while await self.stores.epochs.close(self.clock.now(), settled):
            pass

    async def booked(self, user_id: UUID, shown: Accruing) -> int:
        """What the closes of the epochs that were shown as accruing booked in the end."""
        earned = await self.stores.ledger.earned(user_id, [shown.starts_at, shown.ends_at])
        return sum(each.amount for each in earned)

    async def _apply(self, records: list[Record]) -> None:
        if records:
            await self.stores.uptime.apply([Batch("w1", next(self._sequence), records)], {})


@settings(max_examples=12, deadline=None)
@given(
    paces=st.lists(st.integers(0, SLOT), min_size=1, max_size=6),
    epoch_seconds=st.sampled_from([300, 600, 3600]),
    late=st.integers(0, TOLD_LATE),
    looks=st.lists(st.integers(1, HOURS * 3600 // SLOT), min_size=1, max_size=12, unique=True),
)
async def test_what_accrues_is_what_the_closes_book_within_the_interval(
    paces: list[int], epoch_seconds: int, late: int, looks: list[int]
) -> None:
    field = Field(paces, epoch_seconds, late)
    await field.begin()
    shown: list[tuple[UUID, Accruing]] = []
    for slot in range(HOURS * 3600 // SLOT + late):
        field.clock.advance(timedelta(seconds=SLOT))
        if slot >= late:
            await field.work(slot - late)
        await field.close()
        if slot + 1 in looks:
            await field.stores.epochs.measure(field.clock.now())
            for user_id, overview in (await field.earnings.overviews(field.users)).items():
                assert overview.accruing is not None
                # All work until now is in what is booked, or in what accrues.
                assert overview.accruing.starts_at <= field.clock.now() <= overview.accruing.ends_at
                shown.append((user_id, overview.accruing))
    field.clock.advance(timedelta(hours=1))
    await field.close(all_of_it=True)
    for user_id, accruing in shown:
        booked = await field.booked(user_id, accruing)
        least, amount, most = (int(each) for each in (accruing.least, accruing.amount, accruing.most))
        assert least <= amount <= most
        assert least <= booked <= most, (accruing, booked)
        # It is never above what is booked by more than the interval says.
        assert amount - booked <= amount - least


async def test_work_after_an_epochs_end_shows_before_that_is_closed() -> None:
    field = Field([SLOT], 3600, 2)
    await field.begin()
    amounts = []
    for slot in range(3600 // SLOT + 1):
        field.clock.advance(timedelta(seconds=SLOT))
        await field.work(slot)
        await field.close()
        await field.stores.epochs.measure(field.clock.now())
        overview = await field.earnings.overview(field.users[0])
        assert overview.accruing is not None
        amounts.append(int(overview.accruing.amount))
    # One epoch has ended and is not closed, the next has begun.
    assert (overview.balance, overview.accruing.epoch) == ("0", 1)
    assert overview.accruing.ends_at == START + timedelta(hours=2)
    pools = TERMS.availability_pool + TERMS.usage_pool
    assert amounts[-2:] == [pools, pools + pools * SLOT // 3600]
    assert amounts == sorted(amounts)


async def test_the_figure_does_not_fall_when_its_epoch_is_closed() -> None:
    field = Field([7, 9], 600, 1)
    await field.begin()
    sums = []
    for slot in range(60):
        field.clock.advance(timedelta(seconds=SLOT))
        await field.work(slot)
        await field.stores.epochs.measure(field.clock.now())
        for _ in range(2):
            overview = await field.earnings.overview(field.users[0])
            assert overview.accruing is not None
            sums.append(int(overview.balance) + int(overview.accruing.amount))
            # Looked at before the close, and right after it, when nothing was summed up yet.
            await field.close()
    # But for what bytes of a running hour are nobody's yet, and what rounding takes.
    usage = TERMS.usage_pool * 600 // 3600
    assert all(after >= before - usage for before, after in pairwise(sums))

"""What workers tell comes three times, in any order, while jobs processes are killed: it is paid once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from support.stores import Stores, make_node, make_user, memory_stores

from core.clock import from_ms, new_id
from services.events import INGEST_STREAM
from storage.base import Batch, Node, Opened, Record, Report, User
from storage.base.epochs import Epoch, Terms

WORKERS = ("w1", "w2", "w3")
TERMS = Terms(
    availability_pool=1_000_003,
    usage_pool=500_009,
    bonus_pool=0,
    referral_pool=0,
    unmeasured_score=5000,
    hold_seconds=0,
    holdback=[],
    streak=None,
    first_hours=None,
    minimum_payout=1,
)


def tell(nodes: list[Node], start: int, dice: Random) -> list[Batch]:
    """What the workers saw in the hour from `start` (seconds since 1970), from whom nodes come and go."""
    records: dict[str, list[list[Record]]] = {worker: [] for worker in WORKERS}
    for node in nodes:
        at = 0
        while at < 3600:
            worker, connection = dice.choice(WORKERS), new_id()
            opened = Opened(node.node_id, connection, (start + at) * 1000, "192.0.2.1")
            records[worker].append([opened])
            for _ in range(dice.randint(1, 4)):
                end = min(at + dice.randint(1, 400), 3600)
                # Some seconds are told of twice, as when a node is connected to two at once.
                report = Report(
                    node.node_id,
                    connection,
                    start // 3600,
                    max(0, at - dice.randint(0, 30)),
                    end,
                    start + end,
                    bytes_up=dice.randint(0, 10**9),
                    bytes_down=dice.randint(0, 10**9),
                    answered=1,
                )
                records[worker].append([report])
                at = end + dice.choice([0, 0, 50])
    return [
        Batch(worker, sequence, batch)
        for worker in WORKERS
        for sequence, batch in enumerate(records[worker], 1)
    ]


async def paid(stores: Stores, people: list[UUID], start: int) -> tuple[Epoch | None, Any, list[Any]]:
    """Close the hour; returns it, what people have by then, and what their nodes were measured with."""
    begin = from_ms(start * 1000)
    await stores.epochs.set_terms(TERMS, begin)
    await stores.epochs.begin(begin, 3600)
    end = begin + timedelta(hours=1)
    epoch = await stores.epochs.close(end, end)
    assert await stores.ledger.check() == []
    inputs = [await stores.epochs.inputs(1, user_id) for user_id in people]
    return epoch, await stores.ledger.balances(people), inputs


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_beat_told_three_times_in_any_order_by_several_workers_is_paid_once(
    site: Any, run: Callable[[], Any], seed: int
) -> None:
    dice = Random(seed)
    start = (site.clock.now_ms() // 3_600_000 - 3) * 3600
    created = from_ms(start * 1000) - timedelta(days=90)
    users: list[User] = [make_user() for _ in range(2)]
    nodes = [make_node(user.user_id, created_at=created) for user in users for _ in range(2)]
    once = memory_stores()
    for stores in (once, site.stores):
        for user in users:
            assert await stores.users.add(user)
        for node in nodes:
            assert await stores.nodes.enrol(node)
    batches = tell(nodes, start, dice)
    for batch in batches:
        await once.uptime.apply([batch], {})

    again = batches * 3
    dice.shuffle(again)
    for part in range(4):
        jobs = run()
        await asyncio.wait_for(jobs.jobs.leading.wait(), 10)
        for batch in again[part::4]:
            await site.streams.append(INGEST_STREAM, msgspec.msgpack.encode(batch), 100_000)
        if part < 3:
            # In the middle of its work: where, is up to the servers.
            await jobs.kill()
    await site.drained()

    people = [user.user_id for user in users]
    expected = await paid(once, people, start)
    assert await paid(site.stores, people, start) == expected
    assert sum(balances.claimable for balances in expected[1].values()) > 1_400_000

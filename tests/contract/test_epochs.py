"""What every `EpochStore` guarantees, and that all of them come to the same figures."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace
from support.stores import Stores
from support.worlds import FOREVER, HOUR, START, TERMS, World

from core.errors import NotFound
from storage.base.epochs import (
    EPOCHS_TOGETHER,
    UNCLOSED_MOST,
    Accruing,
    Epoch,
    FirstHours,
    HoldBack,
    PrunedEpochs,
    Streak,
)
from storage.base.ledger import Balances, Category, Earned
from storage.scores import FIRST_FORMULA
from storage.uptime import HOUR_S

# Scores as soon as anything is known.
LENIENT = replace(
    FIRST_FORMULA,
    parameters=replace(FIRST_FORMULA.parameters, required=[], least_window_seconds=1, settle_seconds=0),
)


@pytest.fixture
async def world(stores: Stores) -> World:
    return World(stores)


def pools(epoch: Epoch) -> dict[Category, tuple[int, int, int, int]]:
    return {pool.category: (pool.pool, pool.weight, pool.rewarded, pool.unallocated) for pool in epoch.pools}


# --- terms and spans ------------------------------------------------------------------------------


async def test_the_same_terms_are_one_version(world: World) -> None:
    first = await world.epochs.set_terms(TERMS, START)
    assert await world.epochs.set_terms(TERMS, START + HOUR) == first
    second = await world.epochs.set_terms(replace(TERMS, usage_pool=1), START + HOUR)
    assert (first.version, second.version) == (1, 2)
    assert await world.epochs.terms() == [first, second]


async def test_nothing_is_open_before_the_beginning(world: World) -> None:
    user_id = await world.add_user()
    assert await world.epochs.open() is None
    assert await world.epochs.close(FOREVER, FOREVER) is None
    assert await world.epochs.unclosed() == []
    assert await world.epochs.accruing([user_id], []) == {user_id: []}
    with pytest.raises(NotFound):
        await world.epochs.measure(START)
    with pytest.raises(NotFound):
        await world.epochs.begin(START, HOUR_S)


async def test_the_first_epoch_begins_at_the_last_edge(world: World) -> None:
    await world.epochs.set_terms(TERMS, START)
    await world.epochs.begin(START + timedelta(minutes=17), HOUR_S)
    await world.epochs.begin(START + timedelta(hours=9), HOUR_S)
    open_ = await world.epochs.open()
    assert open_ is not None
    assert (open_.number, open_.starts_at, open_.ends_at) == (1, START, START + HOUR)
    assert (open_.terms.terms, open_.measured_at, open_.availability_weight) == (TERMS, None, 0)


async def test_an_epoch_closes_when_all_of_it_is_settled(world: World) -> None:
    await world.begin()
    assert await world.epochs.close(FOREVER, START + HOUR - timedelta(microseconds=1)) is None
    epoch = await world.epochs.close(START + 2 * HOUR, START + HOUR)
    assert epoch is not None
    assert (epoch.number, epoch.starts_at, epoch.ends_at) == (1, START, START + HOUR)
    assert (epoch.closed_at, epoch.terms, epoch.final) == (START + 2 * HOUR, 1, False)
    assert await world.epochs.close(FOREVER, START + HOUR) is None
    open_ = await world.epochs.open()
    assert open_ is not None
    assert (open_.number, open_.starts_at, open_.ends_at) == (2, START + HOUR, START + 2 * HOUR)


async def test_another_length_counts_from_an_edge_of_both(world: World) -> None:
    await world.begin(seconds=1200)
    await world.epochs.begin(START, HOUR_S)
    assert (await world.close()).ends_at == START + HOUR
    await world.epochs.begin(START, 1800)
    assert (await world.close()).ends_at == START + 1.5 * HOUR
    await world.epochs.begin(START, HOUR_S)
    assert (await world.close()).ends_at == START + 2 * HOUR
    assert (await world.close()).ends_at == START + 3 * HOUR


async def test_an_epoch_is_closed_by_the_terms_that_are_from_before_it(world: World) -> None:
    await world.begin()
    await world.epochs.set_terms(replace(TERMS, availability_pool=7), START + timedelta(minutes=1))
    assert (await world.close()).terms == 1
    second = await world.close()
    assert (second.terms, pools(second)["availability"][0]) == (2, 7)


async def test_closed_epochs_are_listed_the_newest_first(world: World) -> None:
    await world.begin()
    closed = [await world.close() for _ in range(4)]
    assert [epoch.number for epoch in await world.epochs.epochs(None, 3)] == [4, 3, 2]
    assert [epoch.number for epoch in await world.epochs.epochs(3, 9)] == [2, 1]
    assert await world.epochs.epoch(4) == closed[3]
    assert await world.epochs.epoch(5) is None


# --- rewards --------------------------------------------------------------------------------------


async def test_seconds_and_bytes_share_the_pools_and_the_rest_is_unallocated(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    first, second, third = await world.add_node(ada), await world.add_node(ada), await world.add_node(ben)
    await world.report(first, 0, 0, 3600, up=100)
    await world.report(second, 0, 100, 700, up=1, down=2)
    await world.report(third, 0, 0, 900)
    await world.report(third, 1, 0, 3600, up=10**9)
    await world.begin()
    epoch = await world.close()
    seconds = 3600 + 600 + 900
    assert (epoch.nodes, epoch.users) == (3, 2)
    shares = [1_000_000 * each // seconds for each in (3600, 600, 900)]
    assert pools(epoch) == {
        "availability": (1_000_000, seconds * 5000, sum(shares), 1_000_000 - sum(shares)),
        "usage": (500_000, 103, 485_436 + 14_563, 1),
    }
    inputs = await world.epochs.inputs(1, ada)
    assert [each.node_id for each in inputs] == [first, second]
    assert [(each.seconds, each.score, each.gate, each.bytes) for each in inputs] == [
        (3600, None, 4, 100),
        (600, None, 4, 3),
    ]
    assert [(each.availability_weight, each.usage_weight) for each in inputs] == [
        (18_000_000, 100),
        (3_000_000, 3),
    ]
    assert [(each.availability, each.usage) for each in inputs] == [
        (shares[0], 485_436),
        (shares[1], 14_563),
    ]
    assert await world.balances(ada) == Balances(pending=shares[0] + shares[1] + 485_436 + 14_563)
    assert await world.balances(ben) == Balances(pending=shares[2])
    rest = sum(pool.unallocated for pool in epoch.pools)
    assert await world.ledger.house() == {"issued": -1_500_000, "unallocated": rest, "corrections": 0}
    await world.check()


async def test_what_nobody_earned_is_unallocated(world: World) -> None:
    await world.begin()
    epoch = await world.close()
    assert pools(epoch) == {"availability": (1_000_000, 0, 0, 1_000_000), "usage": (500_000, 0, 0, 500_000)}
    assert await world.ledger.house() == {"issued": -1_500_000, "unallocated": 1_500_000, "corrections": 0}
    await world.check()


async def test_an_empty_pool_books_nothing(world: World) -> None:
    user_id = await world.add_user()
    await world.report(await world.add_node(user_id), 0, 0, 60, up=5)
    await world.begin(replace(TERMS, availability_pool=0, usage_pool=0))
    assert pools(await world.close()) == {"availability": (0, 300_000, 0, 0), "usage": (0, 5, 0, 0)}
    assert await world.ledger.house() == {"issued": 0, "unallocated": 0, "corrections": 0}
    assert (await world.balances(user_id)).earned == 0


async def test_one_node_may_have_everything(world: World) -> None:
    user_id = await world.add_user()
    node_id = await world.add_node(user_id)
    for hour in range(24):
        await world.report(node_id, 19 + hour, 0, 3600, up=(1 << 62) - 1, down=(1 << 62) - 1)
    await world.epochs.set_terms(replace(TERMS, availability_pool=10**15, usage_pool=10**15), START)
    await world.epochs.begin(START + timedelta(days=1), 86_400)
    assert pools(await world.close()) == {
        "availability": (24 * 10**15, 86_400 * 5000, 24 * 10**15, 0),
        "usage": (24 * 10**15, 24 << 58, 24 * 10**15, 0),
    }
    assert (await world.balances(user_id)).pending == 48 * 10**15
    await world.check()


async def test_seconds_are_clipped_and_bytes_counted_once_in_epochs_shorter_than_an_hour(
    world: World,
) -> None:
    user_id = await world.add_user()
    node_id = await world.add_node(user_id)
    await world.begin(seconds=600)
    await world.report(node_id, 0, 500, 1300, up=100)
    assert (await world.close()).pools[0].weight == 100 * 5000
    await world.report(node_id, 0, 1300, 1400, up=11)
    epochs = [await world.close() for _ in range(2)]
    assert [epoch.pools[0].weight for epoch in epochs] == [600 * 5000, 200 * 5000]
    assert [(await world.epochs.inputs(number, user_id))[0].bytes for number in (1, 2, 3)] == [100, 11, 0]
    assert epochs[1].pools[1].unallocated == 500_000 // 6
    for _ in range(4):
        await world.close()
    assert await world.epochs.inputs(7, user_id) == []
    await world.check()


async def test_scores_weigh_the_seconds(world: World) -> None:
    user_id = await world.add_user()
    node_id = await world.add_node(user_id)
    await world.report(node_id, 0, 0, 1800)
    await world.stores.scores.recompute(START + HOUR, LENIENT)
    score = await world.stores.scores.of_node(user_id, node_id)
    assert score is not None
    assert score.score is not None
    await world.begin()
    assert (await world.close()).pools[0].weight == 1800 * score.score
    assert (await world.epochs.inputs(1, user_id))[0].score == score.score


async def test_retired_nodes_count_and_suspended_ones_do_not(world: World) -> None:
    user_id = await world.add_user()
    retired, suspended = await world.add_node(user_id), await world.add_node(user_id)
    await world.report(retired, 0, 0, 60)
    await world.report(suspended, 0, 0, 60)
    await world.stores.nodes.retire(user_id, retired, START + HOUR)
    await world.stores.uptime.suspend(suspended, True, START + HOUR)
    await world.begin()
    assert (await world.close()).pools[0].rewarded == 1_000_000
    assert [each.node_id for each in await world.epochs.inputs(1, user_id)] == [retired]


async def test_what_an_erased_person_would_get_stays_unallocated(world: World) -> None:
    erased, kept = await world.add_user(), await world.add_user()
    await world.report(await world.add_node(erased), 0, 0, 300, up=3)
    await world.report(await world.add_node(kept), 0, 0, 900, up=1)
    assert await world.stores.users.erase(erased, START + HOUR)
    await world.begin()
    epoch = await world.close()
    assert pools(epoch) == {
        "availability": (1_000_000, 1200 * 5000, 750_000, 250_000),
        "usage": (500_000, 4, 125_000, 375_000),
    }
    assert (epoch.nodes, epoch.users) == (2, 1)
    assert (await world.balances(erased)).earned == 0
    assert (await world.balances(kept)).earned == 875_000
    await world.check()


# --- release --------------------------------------------------------------------------------------


async def test_what_is_pending_becomes_final_and_from_the_minimum_on_claimable(world: World) -> None:
    user_id = await world.add_user()
    node_id = await world.add_node(user_id)
    for hour in (0, 1, 2):
        await world.report(node_id, hour, 0, 60)
    await world.begin(replace(TERMS, minimum_payout=2_000_000))
    seen = []
    for _ in range(5):
        await world.close()
        seen.append(await world.balances(user_id))
        await world.check()
    assert seen == [
        Balances(pending=1_000_000),
        Balances(pending=2_000_000),
        Balances(pending=2_000_000, final=1_000_000),
        Balances(pending=1_000_000, claimable=2_000_000),
        Balances(claimable=2_000_000, final=1_000_000),
    ]
    assert [each.final for each in await world.epochs.epochs(None, 9)] == [False, False, True, True, True]


async def test_without_a_hold_everything_is_claimable_at_once(world: World) -> None:
    user_id = await world.add_user()
    await world.report(await world.add_node(user_id), 0, 0, 60, up=1)
    await world.begin(replace(TERMS, hold_seconds=0))
    assert (await world.close()).final
    assert await world.balances(user_id) == Balances(claimable=1_500_000)
    await world.check()


async def test_part_of_what_a_young_node_earns_is_held_until_it_is_older(world: World) -> None:
    user_id = await world.add_user()
    # The node is a day old at the end of the first epoch.
    node_id = await world.add_node(user_id, timedelta(hours=23))
    await world.report(node_id, 0, 0, 60)
    await world.report(node_id, 24, 0, 60)
    steps = [HoldBack(days=2, share=5000), HoldBack(days=1, share=7501)]
    await world.begin(replace(TERMS, hold_seconds=HOUR_S, holdback=steps))
    await world.close()
    # It has just reached the first step; the second ends a day later at 06:00, so at the midnight then.
    assert await world.balances(user_id) == Balances(pending=500_000, held=500_000)
    for _ in range(41):
        await world.close()
    assert await world.balances(user_id) == Balances(claimable=1_500_000, held=500_000)
    await world.close()
    assert await world.balances(user_id) == Balances(claimable=2_000_000)
    await world.check()


async def test_a_node_younger_than_a_step_is_held_back_by_that_one(world: World) -> None:
    user_id = await world.add_user()
    await world.report(await world.add_node(user_id, timedelta(hours=22, minutes=59)), 0, 0, 60)
    steps = [HoldBack(days=1, share=7501), HoldBack(days=2, share=5000)]
    await world.begin(replace(TERMS, availability_pool=9_999, holdback=steps))
    await world.close()
    assert await world.balances(user_id) == Balances(pending=9_999 - 7500, held=7500)


# --- bonuses --------------------------------------------------------------------------------------


async def test_the_first_hours_earn_more(world: World) -> None:
    user_id = await world.add_user()
    first, second = await world.add_node(user_id), await world.add_node(user_id)
    await world.report(first, 0, 0, 2400)
    await world.report(first, 1, 0, 1800)
    await world.report(second, 1, 0, 600)
    await world.report(first, 2, 0, 60)
    terms = replace(TERMS, usage_pool=0, bonus_pool=10**6, first_hours=FirstHours(hours=1, share=5000))
    await world.begin(terms)
    await world.close()
    assert (await world.balances(user_id)).earned == 1_500_000
    epoch = await world.close()
    # 1200 of these 2400 seconds are among the first.
    assert pools(epoch)["first_hours"] == (250_000, 250_000, 250_000, 0)
    await world.close()
    assert (await world.balances(user_id)).earned == 1_500_000 + 1_250_000 + 1_000_000
    await world.check()


async def test_every_so_many_days_in_a_row_earn_a_bonus(world: World) -> None:
    user_id = await world.add_user()
    node_id = await world.add_node(user_id)
    streak = Streak(days=2, least_seconds=5000, amount=4321)
    terms = replace(TERMS, availability_pool=0, usage_pool=0, bonus_pool=10**6, streak=streak)
    await world.epochs.set_terms(terms, START)
    midnight = START - 5 * HOUR
    await world.epochs.begin(midnight, 2 * HOUR_S)
    # The third day has too little, and of the others the last counts for nothing yet.
    for day, seconds in enumerate((2500, 2500, 2499, 2500, 2600, 2500, 2500)):
        for hour in (1, 22):
            await world.report(node_id, day * 24 - 5 + hour, 0, seconds)
    earned = []
    for _ in range(7):
        for _ in range(12):
            await world.close()
        earned.append((await world.balances(user_id)).earned)
    assert earned == [0, 4321, 4321, 4321, 8642, 8642, 12963]
    await world.check()


async def test_bonuses_share_their_pool(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    for user_id, seconds in ((ada, 100), (ben, 300)):
        await world.report(await world.add_node(user_id), 0, 0, seconds)
    streak = Streak(days=1, least_seconds=100, amount=1_000_000)
    terms = replace(TERMS, usage_pool=0, bonus_pool=1001, streak=streak)
    await world.begin(replace(terms, first_hours=FirstHours(hours=9, share=10_000)))
    epoch = await world.close()
    assert pools(epoch)["streak"] == (666, 2_000_000, 666, 0)
    assert pools(epoch)["first_hours"] == (333, 1_000_000, 333, 0)
    assert (await world.balances(ada)).earned == 250_000 + 333 + 83
    assert (await world.balances(ben)).earned == 750_000 + 333 + 250
    await world.check()


# --- late data ------------------------------------------------------------------------------------


async def test_what_was_measured_late_is_corrected_when_the_epoch_becomes_final(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    late, known, unseen = await world.add_node(ada), await world.add_node(ben), await world.add_node(ben)
    await world.report(late, 0, 0, 600)
    await world.report(known, 0, 0, 600, up=1)
    await world.begin()
    await world.close()
    await world.report(late, 0, 600, 1200, up=3)
    await world.report(unseen, 0, 0, 1200)
    await world.close()
    assert await world.balances(ada) == Balances(pending=500_000)
    await world.close()
    # 1200 of 3000 seconds is less than half of the pool: nothing more, and nothing is taken away.
    assert await world.balances(ada) == Balances(claimable=500_000 + 375_000)
    assert await world.balances(ben) == Balances(claimable=500_000 + 500_000 + 400_000)
    assert (await world.ledger.house())["corrections"] == -775_000
    await world.close()
    assert (await world.ledger.house())["corrections"] == -775_000
    await world.check()


# --- the estimate ---------------------------------------------------------------------------------


async def test_the_open_epoch_can_be_watched(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    first, second = await world.add_node(ada), await world.add_node(ben)
    await world.begin()
    await world.report(first, 0, 0, 60, up=9)
    await world.report(second, 0, 0, 40, up=1)
    assert await world.accruing(ada, ben) == {
        ada: [Accruing(availability_weight=300_000, usage_weight=9)],
        ben: [Accruing(availability_weight=200_000, usage_weight=1)],
    }
    measured = await world.epochs.measure(START + timedelta(minutes=2))
    assert (measured.availability_weight, measured.usage_weight) == (500_000, 10)
    assert measured.measured_at == START + timedelta(minutes=2)
    assert await world.epochs.open() == measured
    await world.close()
    open_ = await world.epochs.open()
    assert open_ is not None
    assert (open_.number, open_.measured_at, open_.availability_weight, open_.usage_weight) == (2, None, 0, 0)
    assert await world.accruing(ada) == {ada: [Accruing(availability_weight=0, usage_weight=0)]}


async def test_what_is_done_after_an_epoch_ended_is_watched_before_that_is_closed(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    first, second = await world.add_node(ada), await world.add_node(ben)
    await world.begin()
    await world.report(first, 0, 0, 600, up=7)
    await world.report(first, 1, 0, 60, up=9)
    await world.report(second, 1, 0, 40, up=1)
    await world.epochs.measure(START + HOUR - timedelta(microseconds=1))
    assert len(await world.epochs.unclosed()) == 1
    at = START + HOUR + timedelta(seconds=60)
    measured = await world.epochs.measure(at)
    found = await world.epochs.unclosed()
    assert found[0] == measured == await world.epochs.open()
    assert [(each.number, each.starts_at, each.ends_at) for each in found] == [
        (1, START, START + HOUR),
        (2, START + HOUR, START + 2 * HOUR),
    ]
    assert [(each.measured_at, each.availability_weight, each.usage_weight) for each in found] == [
        (at, 3_000_000, 7),
        (at, 500_000, 10),
    ]
    assert await world.accruing(ada, ben) == {
        ada: [
            Accruing(availability_weight=3_000_000, usage_weight=7),
            Accruing(availability_weight=300_000, usage_weight=9),
        ],
        ben: [
            Accruing(availability_weight=0, usage_weight=0),
            Accruing(availability_weight=200_000, usage_weight=1),
        ],
    }
    await world.close()
    assert await world.epochs.unclosed() == found[1:]
    await world.epochs.measure(FOREVER)
    assert len(await world.epochs.unclosed()) == UNCLOSED_MOST


async def test_bytes_of_an_hour_are_not_told_apart_before_the_first_of_its_epochs_is_closed(
    world: World,
) -> None:
    ada = await world.add_user()
    node = await world.add_node(ada)
    await world.begin(seconds=1800)
    await world.report(node, 0, 0, 3600, up=50)
    await world.report(node, 1, 0, 60, up=3)
    at = START + HOUR
    await world.epochs.measure(at)
    assert [each.usage_weight for each in await world.epochs.unclosed()] == [50, None, 3]
    assert [each.usage_weight for each in (await world.accruing(ada))[ada]] == [50, 0, 3]
    await world.close()
    await world.report(node, 0, up=4)
    assert [each.usage_weight for each in await world.epochs.unclosed()] == [None, 3]
    await world.epochs.measure(at)
    assert [each.usage_weight for each in await world.epochs.unclosed()] == [4, 3]
    assert [each.usage_weight for each in (await world.accruing(ada))[ada]] == [4, 3]


# --- what nodes earned ------------------------------------------------------------------------------


async def test_a_nodes_earnings_are_known_by_epoch_and_by_span(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    node, other, theirs = await world.add_node(ada), await world.add_node(ada), await world.add_node(ben)
    for hour in range(4):
        await world.report(other, hour, 0, 3600)
    await world.report(node, 0, 0, 1800, up=5)
    await world.report(node, 2, 0, 3600)
    await world.begin()
    for _ in range(4):
        await world.close()
    epochs = await world.epochs.node_epochs(ada, node, None, 9)
    assert epochs is not None
    assert [(each.epoch, each.starts_at, each.seconds, each.bytes) for each in epochs] == [
        (3, START + 2 * HOUR, 3600, 0),
        (1, START, 1800, 5),
    ]
    assert [(each.availability, each.usage) for each in epochs] == [(500_000, 0), (333_333, 500_000)]
    assert await world.epochs.node_epochs(ada, node, None, 1) == epochs[:1]
    assert await world.epochs.node_epochs(ada, node, 3, 9) == epochs[1:]
    edges = [START + hours * HOUR for hours in (0, 2, 3, 4)]
    assert await world.epochs.node_earned(ada, node, edges) == [
        Earned(start=START, category="availability", amount=333_333),
        Earned(start=START, category="usage", amount=500_000),
        Earned(start=START + 2 * HOUR, category="availability", amount=500_000),
    ]
    assert await world.epochs.node_earned(ada, node, [START + HOUR, START + 2 * HOUR]) == []
    # Of others' nodes nothing is told, and nothing was earned by one that did nothing.
    assert await world.epochs.node_earned(ben, node, edges) is None
    assert await world.epochs.node_epochs(ben, node, None, 9) is None
    assert (
        await world.epochs.node_earned(ben, theirs, edges),
        await world.epochs.node_epochs(ben, theirs, None, 9),
    ) == ([], [])


async def test_inputs_are_dropped_in_the_end_and_what_nodes_earned_stays_by_day(world: World) -> None:
    ada = await world.add_user()
    node = await world.add_node(ada)
    for hour in range(30):
        await world.report(node, hour, 0, 60 + hour, up=hour)
    await world.begin()
    never = (START - 400 * 24 * HOUR).date()
    kept = PrunedEpochs(epochs=0, months=0, complete=True)
    for number in range(30):
        # Nothing that is not final is dropped.
        if number == EPOCHS_TOGETHER:
            assert await world.epochs.prune(FOREVER, never) == kept
        await world.close()
    whole = [START, START + 48 * HOUR]
    before = await world.epochs.node_earned(ada, node, whole)
    # Nothing that ended later is, nor a part of what is dropped together.
    assert await world.epochs.prune(START + 22 * HOUR, never) == kept
    dropped = PrunedEpochs(epochs=EPOCHS_TOGETHER, months=0, complete=True)
    assert await world.epochs.prune(START + 23 * HOUR, never) == dropped
    assert await world.epochs.prune(FOREVER, never) == kept
    assert await world.epochs.node_earned(ada, node, whole) == before
    inputs = [await world.epochs.inputs(number, ada) for number in (1, 23, 24, 30)]
    assert [bool(each) for each in inputs] == [False, False, True, True]
    found = await world.epochs.node_epochs(ada, node, None, 100)
    assert found is not None
    assert [each.epoch for each in found] == list(range(30, 23, -1))
    # The days, from 5:00 on; the second is in both.
    midnight = START - 5 * HOUR
    days = [midnight + day * 24 * HOUR for day in range(3)]
    by_day = await world.epochs.node_earned(ada, node, days)
    assert by_day is not None
    # Alone, it has the whole pool each hour; without bytes in the first.
    assert [(each.start, each.category, each.amount) for each in by_day] == [
        (days[0], "availability", 19_000_000),
        (days[0], "usage", 9_000_000),
        (days[1], "availability", 11_000_000),
        (days[1], "usage", 5_500_000),
    ]
    await world.check()
    # Days go too, by months.
    assert (await world.epochs.prune(FOREVER, START.date())).months == 0
    assert (await world.epochs.prune(FOREVER, START.date() + timedelta(days=31))).months == 1
    left = await world.epochs.node_earned(ada, node, whole)
    assert left is not None
    assert [each.amount for each in left] == [7_000_000, 3_500_000]


# --- several at once ------------------------------------------------------------------------------


async def test_two_closers_at_once_close_one_after_the_other(world: World) -> None:
    user_id = await world.add_user()
    await world.report(await world.add_node(user_id), 0, 0, 60)
    await world.begin()
    settled = START + 3 * HOUR
    closed = await asyncio.gather(*(world.epochs.close(FOREVER, settled) for _ in range(7)))
    assert sorted(epoch.number for epoch in closed if epoch) == [1, 2, 3]
    assert (await world.balances(user_id)).earned == 1_000_000
    await world.check()

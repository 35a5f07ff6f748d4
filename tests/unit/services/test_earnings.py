"""Every figure that is shown: booked, accruing, and what a period will come to."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from support.earned import Farm
from support.house import House

from core.clock import ManualClock, from_ms, new_id
from core.messages import NODES_SHOWN
from services.earnings import Earnings, epoch_closed
from storage.base import Balances, Figure, Figures, NodeTotals, UserTotals
from storage.memory import MemoryDatabase, MemoryEpochs, MemoryLedger, MemoryUsers


class Given:
    """Totals of given nodes."""

    def __init__(self, *nodes: NodeTotals) -> None:
        self._nodes = list(nodes)

    async def look(self, user_ids: list[UUID]) -> Figures:
        figure = Figure(totals=UserTotals(revision=7, nodes=self._nodes), balances=Balances(), weights=[])
        return Figures(revision=7, epochs=[], people=dict.fromkeys(user_ids, figure))


def _earnings(*nodes: NodeTotals) -> Earnings:
    database = MemoryDatabase()
    return Earnings(
        figures=Given(*nodes),
        ledger=MemoryLedger(database),
        epochs=MemoryEpochs(database),
        users=MemoryUsers(database),
        clock=ManualClock(from_ms(0)),
        settling=0,
    )


def _totals(**changes: Any) -> NodeTotals:
    facts = {
        "node_id": new_id(),
        "name": "n",
        "status": "online",
        "since": from_ms(1),
        "confirmed_seconds": 0,
    }
    return NodeTotals(**(facts | changes))


async def test_before_the_first_epoch_nothing_accrues_and_that_is_not_0(house: House) -> None:
    owner = await house.person()
    overview = await house.earnings.overview(owner.user_id)
    assert (overview.nodes_total, overview.balance, overview.accruing, overview.nodes) == (0, "0", None, [])
    summary = await house.earnings.summary(owner.user_id)
    assert (summary.balance, summary.accruing, summary.booked_until, summary.outlooks) == (
        "0",
        None,
        None,
        [],
    )
    assert await house.earnings.newest_closed() is None


async def test_an_estimate_grows_and_is_booked_in_the_end(house: House) -> None:
    farm = await Farm.begin(house)
    owner = await house.person()
    node = await farm.node(owner)
    other = await farm.node(await house.person("bob@example.com"))
    shown = []
    for minutes in (10, 20, 30):
        await farm.work({node: 300, other: 300}, minutes=minutes)
        shown.append((await house.earnings.overview(owner.user_id)).accruing)
    amounts = [int(each.amount) for each in shown]
    # Half of what the pool of an hour has accrued by then.
    assert amounts == [farm.pool // 12, farm.pool // 6, farm.pool // 4]
    await farm.close()
    overview = await house.earnings.overview(owner.user_id)
    assert int(overview.balance) == farm.pool // 2
    assert all(int(each.least) <= int(overview.balance) <= int(each.most) for each in shown)
    assert int(shown[0].least) < int(shown[1].least) < int(shown[2].least)
    assert (overview.accruing.epoch, overview.accruing.amount) == (2, "0")


async def test_the_revision_grows_with_a_close(house: House) -> None:
    farm = await Farm.begin(house)
    owner = await house.person()
    await farm.work({await farm.node(owner): 60}, minutes=10)
    before = await house.earnings.overview(owner.user_id)
    await farm.close()
    after = await house.earnings.overview(owner.user_id)
    assert after.revision > before.revision
    assert before.balance == "0"
    assert int(after.balance) == farm.pool


async def test_all_screens_have_the_same_figures(house: House) -> None:
    farm = await Farm.begin(house)
    owner = await house.person()
    node = await farm.node(owner)
    for _ in range(3):
        await farm.work({node: 600}, minutes=20)
        await farm.close()
    await farm.work({node: 600}, minutes=20)
    overview = await house.earnings.overview(owner.user_id)
    summary = await house.earnings.summary(owner.user_id)
    assert (summary.revision, summary.balance, summary.accruing) == (
        overview.revision,
        overview.balance,
        overview.accruing,
    )
    states = (summary.pending, summary.held, summary.final, summary.claimable, summary.claimed)
    assert sum(int(each) for each in states) == int(summary.balance) == 3 * farm.pool
    history = await house.earnings.history(owner.user_id, None, 100)
    assert sum(int(each.amount) for each in history) == 3 * farm.pool
    series = await house.earnings.series(owner.user_id, "hour", None, None)
    assert (series.amount, len(series.points)) == (summary.balance, 49)
    booked = [point for point in series.points if point.amount is not None]
    assert [int(point.amount) for point in booked] == [farm.pool] * 3
    assert all(point.complete for point in booked)
    assert [point.complete for point in series.points[-2:]] == [True, False]
    assert booked[0].categories == {"availability": str(farm.pool)}
    balances = await house.stores.ledger.balances([owner.user_id])
    assert str(balances[owner.user_id].earned) == summary.balance


async def test_a_period_has_a_projection_once_there_is_a_day_of_earnings(house: House) -> None:
    farm = await Farm.begin(house)
    owner = await house.person()
    node = await farm.node(owner)
    for number in range(26):
        await farm.work({node: 600}, minutes=20)
        summary = await house.earnings.summary(owner.user_id)
        projected = [outlook.projected is not None for outlook in summary.outlooks]
        assert projected == [number >= 24] * 3
        await farm.close()
    outlooks = {each.period: each for each in (await house.earnings.summary(owner.user_id)).outlooks}
    assert list(outlooks) == ["day", "week", "month"]
    # Every hour was the same, so are those to come.
    begun = datetime(2026, 1, 2, 3, tzinfo=UTC)
    for outlook in outlooks.values():
        assert outlook.start <= house.clock.now() < outlook.end
        hours = (outlook.end - max(outlook.start, begun)) // timedelta(hours=1)
        assert outlook.projected.amount == outlook.projected.least == outlook.projected.most
        assert int(outlook.projected.amount) == hours * farm.pool
    assert int(outlooks["month"].booked) == 26 * farm.pool
    assert int(outlooks["day"].booked) == 5 * farm.pool


async def test_days_are_those_of_the_persons_time_zone(house: House) -> None:
    farm = await Farm.begin(house)
    owner = await house.person()
    await house.user_store.set_profile(owner.user_id, "Ada", "en", "America/New_York")
    node = await farm.node(owner)
    for _ in range(3):
        await farm.work({node: 600}, minutes=20)
        await farm.close()
    # 03:00 to 06:00 in UTC: two hours of the day before there, and one of the next.
    series = await house.earnings.series(owner.user_id, "day", from_ms(house.now_ms - 86_400_000), None)
    assert series.time_zone == "America/New_York"
    assert [point.amount for point in series.points] == [str(2 * farm.pool), str(farm.pool)]
    assert [(point.start.hour, point.complete) for point in series.points] == [(5, True), (5, False)]


async def test_somebody_who_is_gone_has_an_empty_series(house: House) -> None:
    series = await house.earnings.series(new_id(), "month", None, None)
    assert {point.amount for point in series.points} == {None}
    assert (series.time_zone, series.amount) == ("UTC", "0")


async def test_the_news_of_a_close_say_what_became_of_the_pools(house: House) -> None:
    farm = await Farm.begin(house)
    await farm.work({await farm.node(await house.person()): 60}, minutes=1)
    epoch = await farm.close()
    news = epoch_closed(epoch)
    assert news == await house.earnings.newest_closed()
    assert (news.number, news.nodes, news.users) == (1, 1, 1)
    pools = {pool.category: (pool.pool, pool.rewarded, pool.unallocated) for pool in news.pools}
    assert pools["availability"] == (str(farm.pool), str(farm.pool), "0")
    assert pools["usage"] == (str(farm.usage_pool), "0", str(farm.usage_pool))


async def test_several_people_are_told_apart(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob@example.com")
    farm = await Farm.begin(house)
    node = await farm.node(ada)
    await farm.work({node: 60}, minutes=10)
    await farm.close()
    overviews = await house.earnings.overviews([ada.user_id, bob.user_id])
    assert (overviews[ada.user_id].nodes_total, overviews[bob.user_id].nodes_total) == (1, 0)
    assert (overviews[ada.user_id].balance, overviews[bob.user_id].balance) == (str(farm.pool), "0")


async def test_the_sums_are_over_all_nodes_and_the_list_is_cut() -> None:
    overview = await _earnings(*[_totals(confirmed_seconds=5)] * (NODES_SHOWN + 5)).overview(new_id())
    assert overview.revision == 7
    assert (overview.nodes_total, overview.confirmed_seconds) == (NODES_SHOWN + 5, 5 * (NODES_SHOWN + 5))
    assert len(overview.nodes) == NODES_SHOWN


async def test_what_is_known_of_a_node_is_shown_and_what_is_not_measured_is_not_a_number() -> None:
    measured = _totals(status="degraded", flapping=True, country="NL", rtt_us=23_456, jitter_us=0)
    overview = await _earnings(measured, _totals(status="offline", since=None)).overview(new_id())
    shown, unknown = overview.nodes
    assert (shown.state, shown.flapping, shown.country) == ("degraded", True, "NL")
    assert (shown.rtt_ms, shown.jitter_ms) == (23.5, 0.0)
    assert (unknown.state, unknown.since, unknown.flapping) == ("offline", None, False)
    assert (unknown.country, unknown.rtt_ms, unknown.jitter_ms) == (None, None, None)


async def test_degraded_nodes_are_online_suspended_ones_are_not() -> None:
    nodes = [_totals(status=status) for status in ("online", "degraded", "offline", "suspended")]
    overview = await _earnings(*nodes).overview(new_id())
    assert (overview.nodes_online, overview.nodes_total) == (2, 4)

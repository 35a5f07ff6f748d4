from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from support.house import RATE, House

from core.clock import from_ms, new_id
from core.messages import NODES_SHOWN
from services.earnings import Earnings
from storage.base import Batch, NodeTotals, Opened, Report, UserTotals

HOUR = 3600


class Given:
    """Totals of given nodes."""

    def __init__(self, *nodes: NodeTotals) -> None:
        self._nodes = list(nodes)

    async def totals(self, user_ids: list[UUID]) -> dict[UUID, UserTotals]:
        return {user_id: UserTotals(revision=7, nodes=self._nodes) for user_id in user_ids}


def _given(*confirmed_seconds: int) -> Given:
    return Given(*(_totals(name=f"n{i}", confirmed_seconds=s) for i, s in enumerate(confirmed_seconds)))


def _totals(**changes: Any) -> NodeTotals:
    facts = {
        "node_id": new_id(),
        "name": "n",
        "status": "online",
        "since": from_ms(1),
        "confirmed_seconds": 0,
    }
    return NodeTotals(**(facts | changes))


async def test_a_measured_hour_pays_the_rate(house: House) -> None:
    owner = await house.person()
    node = await house.node(owner, Ed25519PrivateKey.generate())
    session = new_id()
    start = house.now_ms
    records = [
        Opened(node.node_id, session, start, "127.0.0.1"),
        Report(node.node_id, session, start // 3_600_000, 0, HOUR, start // 1000),
    ]
    await house.uptime.apply([Batch("worker@1", 1, records)], {})
    overview = await house.earnings.overview(owner.user_id)
    assert overview.accruing == str(RATE)
    assert overview.confirmed_seconds == 3600
    assert (overview.nodes_total, overview.nodes_online) == (1, 1)
    shown = overview.nodes[0]
    assert (shown.node_id, shown.name, shown.state) == (node.node_id, "attic", "online")
    assert shown.since == house.clock.now()


async def test_somebody_without_nodes_has_nothing_yet(house: House) -> None:
    owner = await house.person()
    overview = await house.earnings.overview(owner.user_id)
    assert (overview.nodes_total, overview.accruing, overview.nodes) == (0, "0", [])


async def test_several_people_are_told_apart(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob@example.com")
    await house.node(ada, Ed25519PrivateKey.generate())
    overviews = await house.earnings.overviews([ada.user_id, bob.user_id])
    assert overviews[ada.user_id].nodes_total == 1
    assert overviews[bob.user_id].nodes_total == 0


async def test_the_sum_is_over_all_nodes_and_the_list_is_cut() -> None:
    user_id = new_id()
    overview = await Earnings(_given(*[HOUR] * (NODES_SHOWN + 5)), RATE).overview(user_id)
    assert overview.revision == 7
    assert overview.accruing == str(RATE * (NODES_SHOWN + 5))
    assert overview.nodes_total == NODES_SHOWN + 5
    assert len(overview.nodes) == NODES_SHOWN


@given(
    st.lists(st.integers(0, 10**12), max_size=NODES_SHOWN),
    st.integers(0, 10**15),
)
async def test_the_rows_on_the_screen_add_up_to_the_total_exactly(confirmed: list[int], rate: int) -> None:
    overview = await Earnings(_given(*confirmed), rate).overview(new_id())
    assert int(overview.accruing) == sum(int(node.accruing) for node in overview.nodes)
    assert overview.confirmed_seconds == sum(node.confirmed_seconds for node in overview.nodes)
    for node, seconds in zip(overview.nodes, confirmed, strict=True):
        assert 0 <= seconds * rate - int(node.accruing) * HOUR < HOUR


async def test_what_is_known_of_a_node_is_shown_and_what_is_not_measured_is_not_a_number() -> None:
    measured = _totals(status="degraded", flapping=True, country="NL", rtt_us=23_456, jitter_us=0)
    overview = await Earnings(Given(measured, _totals(status="offline", since=None)), RATE).overview(new_id())
    shown, unknown = overview.nodes
    assert (shown.state, shown.flapping, shown.country) == ("degraded", True, "NL")
    assert (shown.rtt_ms, shown.jitter_ms) == (23.5, 0.0)
    assert (unknown.state, unknown.since, unknown.flapping) == ("offline", None, False)
    assert (unknown.country, unknown.rtt_ms, unknown.jitter_ms) == (None, None, None)


async def test_degraded_nodes_are_online_suspended_ones_are_not() -> None:
    nodes = [_totals(status=status) for status in ("online", "degraded", "offline", "suspended")]
    overview = await Earnings(Given(*nodes), RATE).overview(new_id())
    assert (overview.nodes_online, overview.nodes_total) == (2, 4)

"""What owners are told of their nodes while things happen, and how soon."""

import random
from collections.abc import AsyncIterator

import pytest
from msgspec import Struct
from support.fleet.cluster import Cluster
from support.fleet.line import Line, now_ms
from support.fleet.node import FleetNode
from support.fleet.play import Run
from support.fleet.watch import CONNECTED, Watch
from support.waiting import eventually

from core.clock import new_id
from core.errors import CloseCode

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

# Seconds within which a change reaches the owner's socket.
BAR = 2.0
# Roles that come and go too often to be told of every time.
RESTLESS = ("flapping", "blinking", "forging", "answered by another", "replaying", "answering late")

# Challenges failed in a row that make a node degraded.
FAILURES = 2


class Alone(Struct):
    """A node outside the runs, and what its owner sees."""

    cluster: Cluster
    node: FleetNode
    watch: Watch
    port: int


@pytest.fixture
async def alone(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Alone]:
    """A node of an owner of its own, enrolled; whatever it opens is closed."""
    owner = await cluster.owner(f"alone-{new_id()}")
    timeout = cluster.config.network.challenge_timeout
    node = FleetNode("alone", "5.10.240.9", random.Random(request.node.name), challenge_timeout=timeout)
    await node.enrol(owner)
    watch = await Watch.open(cluster.port("a"), owner)
    yield Alone(cluster, node, watch, cluster.port("a"))
    for line in node.lines:
        await line.leave()
    await watch.close()
    await cluster.caught_up()


async def test_coming_and_going_reach_the_owner_within_two_seconds(peace: Run) -> None:
    slow = []
    for node in peace.nodes:
        if node.role in RESTLESS:
            continue
        watch = peace.watch_of(node)
        came, went = node.links[0], node.links[-1]
        assert went.ended is not None
        delays = [watch.delay(node.node_id, CONNECTED, came.opened.earliest)]
        if went.ended.earliest < peace.over_ms:
            delays.append(watch.delay(node.node_id, frozenset({"offline"}), went.ended.earliest))
        slow += [f"{delay:.1f} s: {peace.about(node)}" for delay in delays if delay > BAR]
    assert not slow, "\n".join(slow)


async def test_who_stops_answering_is_degraded(run: Run) -> None:
    for node in run.playing("silent"):
        assert run.last_states[node.node_id] == "degraded", run.about(node)


async def test_who_flaps_is_degraded_and_the_owner_hears_little_of_it(peace: Run) -> None:
    for node in peace.playing("flapping"):
        assert peace.last_states[node.node_id] == "degraded", peace.about(node)
        turns = peace.watch_of(node).changes(node.node_id, peace.over_ms)
        assert turns < 2 * len(node.links), peace.about(node)


async def test_steady_nodes_are_online_whatever_happens_to_others(run: Run) -> None:
    for node in run.playing("steady"):
        assert run.last_states[node.node_id] == "online", run.about(node)
        assert run.watch_of(node).changes(node.node_id, run.over_ms) == 1, run.about(node)


async def test_nodes_of_a_killed_worker_are_offline_once_it_is_noticed(storm: Run) -> None:
    for node in storm.playing("killed, gone"):
        (link,) = node.links
        assert link.ended is not None
        told = storm.watch_of(node).delay(node.node_id, frozenset({"offline"}), link.ended.earliest)
        assert told <= (link.ended.latest - link.ended.earliest) / 1000 + BAR, storm.about(node)


async def test_who_fails_is_shown_as_degraded_within_two_seconds(alone: Alone) -> None:
    node, watch = alone.node, alone.watch
    asked: list[int] = []

    async def look_away(line: Line, nonce: bytes) -> None:
        asked.append(now_ms())
        await node.never(line, nonce)

    line = await node.connect(alone.port, look_away)
    await watch.until(node.node_id, "online", line.link.opened.earliest)

    async def asked_twice() -> bool:
        return len(asked) == FAILURES

    await eventually(asked_twice)
    told = await watch.until(node.node_id, "degraded", asked[-1])
    assert 0 < told <= node.timeout + BAR


async def test_a_suspended_node_is_ended_and_shown_within_two_seconds(alone: Alone) -> None:
    node, watch, staff = alone.node, alone.watch, alone.cluster.operator
    line = await node.connect(alone.port)
    await watch.until(node.node_id, "online", line.link.opened.earliest)
    suspended = now_ms()
    await staff.post(f"/admin/nodes/{node.node_id}/suspend", {"note": "it was sold"})
    assert await watch.until(node.node_id, "suspended", suspended) <= BAR
    await line.ended()
    assert line.link.code == CloseCode.REVOKED
    refused = (await node.ask_token()).json()
    assert (refused["code"], "it was sold" in refused["detail"]) == ("node_suspended", True)

    lifted = now_ms()
    await staff.post(f"/admin/nodes/{node.node_id}/unsuspend", {"note": "it was not", "quiet_days": 0})
    assert await watch.until(node.node_id, "offline", lifted) <= BAR
    await node.renew_token()
    line = await node.connect(alone.port)
    assert await watch.until(node.node_id, "online", line.link.opened.earliest) <= BAR

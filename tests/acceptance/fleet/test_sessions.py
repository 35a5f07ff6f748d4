"""The sessions of a fleet's nodes: opened, closed, why, where, and what they moved."""

import pytest
from support.fleet.play import Run

from core.clock import to_ms

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

# Milliseconds that a server may take to see the end of a connection.
SEEN_WITHIN = 1000


async def test_sessions_are_as_the_nodes_had_them(run: Run) -> None:
    stored = await run.sessions()
    for node in run.nodes:
        visits, sessions = run.visits(node), stored[node.node_id]
        assert len(sessions) == len(visits), f"{sessions} of {run.about(node)}"
        for visit, session in zip(visits, sessions, strict=True):
            first, last = visit.first, visit.last
            assert session["session_id"] == first.connection, run.about(node)
            assert session["connections"] == len(visit.links), run.about(node)
            opened = to_ms(session["opened_at"])
            assert first.opened.earliest <= opened <= first.opened.latest, run.about(node)
            assert last.ended is not None
            closed = to_ms(session["closed_at"])
            assert last.ended.earliest <= closed <= last.ended.latest + SEEN_WITHIN, run.about(node)
            assert session["worker"] == last.worker, run.about(node)
            assert session["address"] == last.address, run.about(node)
            if last.beats:
                assert session["agent_version"] == last.version, run.about(node)


async def test_it_is_known_why_they_ended(run: Run) -> None:
    stored = await run.sessions()
    for node in run.nodes:
        for visit, session in zip(run.visits(node), stored[node.node_id], strict=True):
            killed = visit.last.kept_until is not None
            assert session["code"] == (None if killed else visit.last.code), run.about(node)


async def test_a_session_has_the_bytes_of_its_connections(peace: Run) -> None:
    for node in peace.nodes:
        page = await node.owner.get(f"/nodes/{node.node_id}/sessions")
        moved = {item["session_id"]: (item["bytes_up"], item["bytes_down"]) for item in page["items"]}
        for visit in peace.visits(node):
            up, down = (
                sum(link.bytes_up for link in visit.links),
                sum(link.bytes_down for link in visit.links),
            )
            assert moved[str(visit.first.connection)] == (up, down), peace.about(node)


async def test_who_returns_in_time_continues_the_session(storm: Run) -> None:
    stored = await storm.sessions()
    for node in storm.playing("killed, soon back", "killed, back in time", "drained", "drained, waiting"):
        (session,) = stored[node.node_id]
        assert session["connections"] == 2
    for node in storm.playing("killed, back too late", "drained, back too late", "away"):
        assert [session["connections"] for session in stored[node.node_id]] == [1, 1]

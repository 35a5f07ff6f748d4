"""A generated fleet with known truth, through real sockets and servers, in peace and through faults.

**How the truth is exact.** Servers and driver read one machine's clock. Each node's opening lies between the
server's time in its `welcome` and the arrival of that; each answer between its sending and the server's time
in the `pong` to a ping behind it. Uptime is kept in whole seconds, both ends of a stretch rounded down, and
nodes connect and answer in the first half of a second only: so both bounds lie in the same second, and the
driver knows every confirmed second by its number. Where a busy machine delayed something into the next
second, or the script itself leaves something open (what a killed worker had not handed on, of nodes
that stay away), the truth is what is certain and what is possible, and the stored seconds lie between.

A failure names the seed: `make fleet SEED=…` plays the same scripts again.
"""

from itertools import pairwise

import pytest
from support.fleet.play import Run
from support.fleet.truth import Answer, Miss, spans

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

# Roles of which the script leaves open what was lost with the worker.
OPEN_ENDED = ("killed, back too late", "killed, gone")
# What refuses an answer or a beat and counts against the node.
REFUSALS = ("challenge_unknown", "wrong_signature", "impossible_beat")
# The share of nodes whose truth a busy machine may blur.
BLURRED = 0.1


async def test_the_truth_is_known_to_the_second(run: Run) -> None:
    scripted = [node for node in run.nodes if node.role not in OPEN_ENDED]
    blurred = [run.about(node) for node in scripted if not run.seconds(node).exact]
    assert len(blurred) <= BLURRED * len(scripted), "\n".join(blurred)


async def test_every_node_has_the_very_seconds_that_it_earned(run: Run) -> None:
    stored = await run.stored()
    wrong = [
        f"{run.seconds(node).difference(stored[node.node_id])} in {run.about(node)}"
        for node in run.nodes
        if not run.seconds(node).holds(stored[node.node_id])
    ]
    assert not wrong, "\n".join(wrong)


async def test_honest_nodes_earned_something(run: Run) -> None:
    cheats = run.cheats()
    idle = [node.role for node in run.nodes if node not in cheats and not run.seconds(node).certain]
    assert set(idle) <= {"blinking"}


async def test_cheats_earn_nothing(run: Run) -> None:
    stored = await run.stored()
    sums, states = await run.sums(), await run.states()
    earned = [
        f"{spans(stored[node.node_id])} in {run.about(node)}"
        for node in run.cheats()
        if not node.role.startswith("hoping") and stored[node.node_id]
    ]
    assert not earned, "\n".join(earned)
    for node in run.cheats():
        assert (
            states[node.node_id]["confirmed_s"] == len(stored[node.node_id]) == sums[node.node_id]["seconds"]
        )


async def test_who_fails_until_a_worker_ends_earns_nothing_for_that_time(storm: Run) -> None:
    stored = await storm.stored()
    for node in storm.playing("hoping for a kill", "hoping for a drain"):
        first, last = node.links
        # Its one answer confirms the moment before it.
        answers = [mark.at.latest for mark in first.marks if isinstance(mark, Answer)]
        failing = range(max(answers) // 1000, last.opened.earliest // 1000)
        assert stored[node.node_id], storm.about(node)
        assert not stored[node.node_id] & set(failing), storm.about(node)


async def test_a_node_that_comes_back_in_time_loses_nothing_by_what_happened_to_its_worker(
    storm: Run,
) -> None:
    stored = await storm.stored()
    back = ("killed, soon back", "killed, back in time", "drained", "drained, waiting")
    for node in storm.playing(*back):
        assert len(node.links) == 2, storm.about(node)
        if any(isinstance(mark, Miss) for link in node.links for mark in link.marks):
            continue  # the machine was too busy to answer in time
        seconds = stored[node.node_id]
        assert len(seconds) == max(seconds) - min(seconds) + 1, f"{spans(seconds)} in {storm.about(node)}"


async def test_who_comes_back_too_late_has_nothing_for_the_pause(storm: Run) -> None:
    stored = await storm.stored()
    for node in storm.playing("killed, back too late", "drained, back too late", "away"):
        assert len(node.links) == 2, storm.about(node)
        left, back = node.links[0].ended, node.links[1].opened.earliest // 1000
        assert left is not None
        pause = range(left.latest // 1000, back)
        assert not stored[node.node_id] & set(pause), storm.about(node)


async def test_who_comes_and_goes_has_nothing_for_the_time_away(run: Run) -> None:
    stored = await run.stored()
    for node in run.playing("flapping", "restarting"):
        for link, after in pairwise(node.links):
            assert link.ended is not None
            away = range(link.ended.latest // 1000, after.opened.earliest // 1000)
            assert not stored[node.node_id] & set(away), run.about(node)


async def test_one_number_everywhere(run: Run) -> None:
    stored = await run.stored()
    sums, states = await run.sums(), await run.states()
    for owner in run.owners:
        overview = await owner.get("/me/overview")
        nodes = {node["node_id"]: node for node in overview["nodes"]}
        mine = [node for node in run.nodes if node.owner is owner]
        assert len(nodes) == len(mine)
        for node in mine:
            seconds = len(stored[node.node_id])
            shown = nodes[str(node.node_id)]
            assert shown["confirmed_seconds"] == seconds, run.about(node)
            assert states[node.node_id]["confirmed_s"] == seconds, run.about(node)
            assert sums.get(node.node_id, {}).get("seconds", 0) == seconds, run.about(node)
        assert overview["confirmed_seconds"] == sum(len(stored[node.node_id]) for node in mine)


async def test_the_network_is_the_sum_of_its_nodes(run: Run) -> None:
    (total,) = await run.cluster.fetch(
        """
        SELECT (SELECT confirmed_s FROM ingest_cursor) AS kept,
               (SELECT sum(confirmed_s) FROM node_state)::bigint AS states,
               (SELECT sum(seconds) FROM node_hours)::bigint AS hours,
               (SELECT sum(seconds) FROM network_hour)::bigint AS network_hours,
               (SELECT count(*) FROM node_state WHERE online) AS online,
               (SELECT sum(nodes_online) FROM network_country)::bigint AS by_country
        """
    )
    assert total["kept"] == total["states"] == total["hours"] == total["network_hours"]
    assert total["online"] == total["by_country"] == 0
    summary = (await run.cluster.api.get("/api/v1/network/summary")).raise_for_status().json()
    assert summary["confirmed_seconds"] == total["kept"]
    assert summary["nodes_online"] == 0


async def test_answers_are_counted(run: Run) -> None:
    sums = await run.sums()
    for node in run.nodes:
        if any(link.kept_until is not None for link in node.links):
            continue  # the killed worker took its counts along
        told = sum(link.refused.get(code, 0) for link in node.links for code in REFUSALS)
        tricks = sum(link.tricks for link in node.links)
        found = sums.get(node.node_id, {"answered": 0, "refused": 0})
        assert found["answered"] == run.answers(node), run.about(node)
        # The last of them may be judged when their connection is gone, and those behind ten never.
        assert told <= found["refused"] <= tricks, run.about(node)


async def test_bytes_are_those_of_the_beats(run: Run) -> None:
    sums = await run.sums()
    for node in run.nodes:
        found = sums.get(node.node_id, {"bytes_up": 0, "bytes_down": 0})
        up, down = sum(link.bytes_up for link in node.links), sum(link.bytes_down for link in node.links)
        if any(link.kept_until is not None for link in node.links):
            up = down = 0
        # A beat may be taken whose pong is lost to the close.
        assert up <= found["bytes_up"] <= sum(link.sent_up for link in node.links), run.about(node)
        assert down <= found["bytes_down"] <= sum(link.sent_down for link in node.links), run.about(node)


async def test_nothing_is_lost_and_nothing_doubled_on_the_way(run: Run) -> None:
    rows = await run.cluster.fetch("SELECT worker, applied FROM ingest_writer")
    assert rows
    for row in rows:
        (span,) = row["applied"]
        assert span.lower == 1, row["worker"]
    for worker in run.cluster.workers.values():
        assert (await worker.metrics())["records_dropped_total"] == 0

"""What rules find about a fleet's nodes, what that does to their scores, and that it is explained."""

import pytest
from support.fleet.play import Run

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

SIGNS = {0: "×0", 1: "×¼"}
# How the reason begins that owners read.
REASONS = {
    "shared_address": "This node's address is shared by 2 nodes",
    "two_places": "This node answered from two addresses at the same time, for ",
    "failing_challenges": "",
}


async def test_who_is_found_out_has_a_gated_score_and_reads_why(run: Run) -> None:
    scores = await run.scores()
    for node, rule, quarters in run.held_down():
        score = scores[node.node_id]
        (gate,) = [gate for gate in score["gates"] if gate["name"] == rule]
        assert gate["quarters"] == score["quarters"] == quarters, f"{score} of {run.about(node)}"
        assert gate["sentence"].startswith(REASONS[rule])
        assert gate["sentence"].endswith(f": {SIGNS[quarters]}.")
        assert score["base"] > 0, score
        assert score["score"] == score["base"] * quarters // 4, score


async def test_the_evidence_is_kept_for_the_staff_and_shown_to_the_owner(run: Run) -> None:
    operator = run.cluster.operator
    for node, rule, quarters in run.held_down():
        page = await operator.get("/admin/abuse/flags", node=str(node.node_id), rule=rule)
        (flag,) = page["items"]
        assert (flag["state"], flag["gate"]) == ("active", quarters), run.about(node)
        decisions = (await operator.get(f"/admin/abuse/flags/{flag['flag_id']}/decisions"))["items"]
        assert decisions[0]["decision"] == "raised"
        # What it is about now is in the flag; the decision keeps what it was taken by.
        assert decisions[0]["evidence"].keys() == flag["evidence"].keys()
        held = (await node.owner.get(f"/nodes/{node.node_id}/flags"))["items"]
        assert [each["reason"] for each in held if each["rule"] == rule] == [flag["reason"]]


async def test_a_key_in_two_places_is_found_with_both_addresses(peace: Run) -> None:
    for node in peace.playing("in two places"):
        addresses = sorted(link.address for link in node.links)
        page = await peace.cluster.operator.get("/admin/abuse/flags", node=str(node.node_id))
        evidence = {flag["rule"]: flag["evidence"] for flag in page["items"]}
        assert sorted(evidence) == ["impossible_travel", "two_places"]
        assert sorted(evidence["two_places"]["addresses"]) == addresses
        both = [
            min(link.ended.latest for link in node.links if link.ended) // 1000,
            max(link.opened.earliest for link in node.links) // 1000,
        ]
        assert 3 < evidence["two_places"]["seconds"] <= both[0] - both[1], peace.about(node)
        assert (evidence["impossible_travel"]["from"], evidence["impossible_travel"]["to"]) == ("DE", "JP")


async def test_nothing_is_held_against_honest_nodes(run: Run) -> None:
    suspects = [*run.cheats(), *(node for node, _, _ in run.held_down())]
    scores = await run.scores()
    for node in run.nodes:
        if node in suspects:
            continue
        flags = (await node.owner.get(f"/nodes/{node.node_id}/flags"))["items"]
        assert flags == [], run.about(node)
        assert scores[node.node_id]["quarters"] == 4, run.about(node)
        assert {gate["quarters"] for gate in scores[node.node_id]["gates"]} == {4}, run.about(node)


async def test_scores_are_made_from_the_seconds_that_are_stored(run: Run) -> None:
    stored, sums, scores = await run.stored(), await run.sums(), await run.scores()
    for node in run.nodes:
        components = {each["name"]: each for each in scores[node.node_id]["components"]}
        inputs = components["uptime"]["inputs"]
        assert inputs["confirmed_seconds"] == len(stored[node.node_id]), run.about(node)
        counts = sums.get(node.node_id, {"answered": 0, "missed": 0, "refused": 0})
        found = components["challenges"]["inputs"]
        assert [found[key] for key in counts if key in found] == [
            counts[key] for key in counts if key in found
        ], run.about(node)


async def test_cheats_have_no_points_for_being_there_and_nothing_is_confirmed_to_them(run: Run) -> None:
    scores = await run.scores()
    for owner in run.owners:
        shown = {node["node_id"]: node for node in (await owner.get("/me/overview"))["nodes"]}
        for node in run.cheats():
            if node.owner is not owner or node.role.startswith("hoping"):
                continue
            uptime = scores[node.node_id]["components"][0]
            assert (uptime["name"], uptime["points"]) == ("uptime", 0), run.about(node)
            assert shown[str(node.node_id)]["confirmed_seconds"] == 0, run.about(node)

"""What a node's owner reads about its score."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from support.house import House

from core.clock import new_id
from core.errors import NotFound
from services.score import Score, explain
from services.tokens import Principal
from storage.base import NodeScore, RuleGate
from storage.scores import FIRST_FORMULA, Sums, compute

AT = datetime(2026, 3, 4, 5, 26, 47, tzinfo=UTC)
PARAMETERS = FIRST_FORMULA.parameters
SHARED = RuleGate(rule="shared_address", quarters=1, evidence={"nodes": 3, "others": ["secret"]})
CLONED = RuleGate(rule="two_places", quarters=0, evidence={"seconds": 61})
HOURS = 3600


def made(gates: list[RuleGate] | None = None, window: int = 24 * HOURS, **changes: Any) -> NodeScore:
    """A score of a good node, or of one that differs in what is given."""
    facts = {
        "confirmed": 24 * HOURS,
        "bytes": 1 << 30,
        "answered": 4320,
        "missed": 0,
        "refused": 0,
        "rtt": [0] * 5 + [100] + [0] * 10,
    }
    about = {"public": True, "located": True} | {
        key: changes.pop(key) for key in ("public", "located") if key in changes
    }
    sums = Sums(**{**facts, **changes})
    points = compute(PARAMETERS, sums, window, gates or [])
    return NodeScore(
        formula=1,
        computed_at=AT,
        confirmed_seconds=sums.confirmed,
        window_seconds=window,
        answered=sums.answered,
        missed=sums.missed,
        refused=sums.refused,
        bytes=sums.bytes,
        gates=gates or [],
        **about,
        **{name: getattr(points, name) for name in points.__struct_fields__},
    )


def said(found: NodeScore) -> dict[str, str]:
    """Every sentence, by what it is about."""
    score = explain(new_id(), found, FIRST_FORMULA)
    parts = [*score.components, *score.gates]
    return {"score": score.sentence, "advice": score.advice} | {part.name: part.sentence for part in parts}


def test_a_good_score_says_so() -> None:
    assert said(made()) == {
        "score": "The score is 10000 of 10000.",
        "advice": "There is nothing to gain: it is as good as it gets.",
        "uptime": "Confirmed online for all of 24 h.",
        "latency": "The median round trip is at most 40 ms: very good.",
        "challenges": "Answered 4320 of 4320 challenges (0 missed, 0 refused): 100.00 %.",
        "contribution": "Moved 1.0 GiB; all points need 1.0 GiB: 100.00 %.",
        "shared_address": "Nothing is held against the node's address: ×1.",
        "address_class": "The address is a public one: ×1.",
        "impossible_travel": "Nothing is held against the node's places: ×1.",
    }


def test_a_middling_score_says_what_it_is_made_from() -> None:
    found = made(
        confirmed=9 * HOURS + 75 * 60,
        bytes=1234,
        answered=90,
        missed=7,
        refused=3,
        rtt=[0] * 8 + [10] + [0] * 7,
    )
    sentences = said(found)
    assert sentences["uptime"] == "Confirmed online for 10 h 15 min of 24 h: 42.70 %."
    assert sentences["latency"] == "The median round trip is at most 135 ms: fair."
    assert sentences["challenges"] == "Answered 90 of 100 challenges (7 missed, 3 refused): 90.00 %."
    assert sentences["contribution"] == "Moved 1.2 KiB; all points need 1.0 GiB: 0.00 %."
    assert sentences["score"] == f"The score is {found.score} of 10000."
    assert found.score == (4270 * 3500 + 6500 * 2500 + 9000 * 2500) // 10_000
    assert sentences["advice"] == "Most would be gained by staying online without pauses (up to +2006)."


@pytest.mark.parametrize(
    ("bucket", "sentence"),
    [
        (0, "at most 5 ms: very good"),
        (7, "at most 90 ms: good"),
        (9, "at most 200 ms: fair"),
        (11, "at most 450 ms: slow"),
        (14, "at most 1500 ms: very slow"),
        (15, "more than 1500 ms: very slow"),
    ],
)
def test_a_round_trip_has_a_word(bucket: int, sentence: str) -> None:
    rtt = [0] * 16
    rtt[bucket] = 10
    assert said(made(rtt=rtt))["latency"] == f"The median round trip is {sentence}."


def test_what_is_not_measured_says_what_is_missing() -> None:
    found = made(window=59 * 60, confirmed=59 * 60, answered=9, rtt=[9] + [0] * 15)
    assert found.score is None
    sentences = said(found)
    assert sentences["score"] == (
        "Not measured: there is too little to go by for uptime and latency and challenges."
    )
    assert sentences["uptime"] == "Not measured: the node has been enrolled for 59 min, 1 h are needed."
    assert sentences["latency"] == "Not measured: 9 round trips so far, 10 are needed."
    assert sentences["challenges"] == "Not measured: 9 challenges so far, 10 are needed."
    assert sentences["advice"] == "Keep the node online: what is missing gets measured by itself."
    score = explain(new_id(), found, FIRST_FORMULA)
    assert [part.points for part in score.components] == [None, None, None, 10_000]
    assert [part.could_add for part in score.components] == [None] * 4


def test_no_bytes_are_measured_and_nothing() -> None:
    found = made(bytes=0)
    assert (found.contribution, found.score) == (0, 8500)
    assert said(found)["advice"] == "Most would be gained by moving more bytes (up to +1500)."


def test_an_address_that_is_not_public_is_not_judged() -> None:
    found = made(public=False, located=False)
    score = explain(new_id(), found, FIRST_FORMULA)
    assert {gate.name: gate.quarters for gate in score.gates} == dict.fromkeys(
        ("shared_address", "address_class", "impossible_travel")
    )
    assert score.score == 10_000
    assert all(gate.sentence.startswith("Not measured: ") for gate in score.gates)


def test_a_shared_address_says_with_how_many_and_what_it_costs() -> None:
    score = explain(new_id(), made([SHARED]), FIRST_FORMULA)
    assert (score.score, score.base, score.quarters) == (2500, 10_000, 1)
    assert score.sentence == "The score is 2500 of 10000: 10000 ×¼."
    (gate,) = [gate for gate in score.gates if gate.name == "shared_address"]
    assert (gate.quarters, gate.facts) == (1, {"nodes": 3})
    assert gate.sentence == "This node's address is shared by 3 nodes: ×¼."
    assert score.advice == (
        "Most would be gained by ending what holds the score down (up to +7500): "
        "This node's address is shared by 3 nodes."
    )


def test_of_several_gates_the_least_counts_and_all_are_told() -> None:
    score = explain(new_id(), made([CLONED, SHARED], bytes=0), FIRST_FORMULA)
    assert (score.score, score.base, score.quarters) == (0, 8500, 0)
    assert {gate.name: gate.quarters for gate in score.gates} == {
        "two_places": 0,
        "shared_address": 1,
        "address_class": 4,
        "impossible_travel": 4,
    }
    assert score.sentence == "The score is 0 of 10000: 8500 ×0."
    assert "two addresses" in score.advice


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 20, "1.0 MiB"), (25 << 58, "6.2 EiB")],
)
def test_bytes_are_told_in_a_unit_that_can_be_read(count: int, words: str) -> None:
    assert said(made(bytes=count))["contribution"].startswith(f"Moved {words};")


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (3660, "1 h 1 min")]
)
def test_times_are_told_in_two_units_at_most(seconds: int, words: str) -> None:
    assert f"for {words} of" in said(made(confirmed=seconds))["uptime"]


async def ask(house: House, owner: str, asker: str, role: str = "user") -> Score:
    """`asker`, in `role`, asks for the score of a node of `owner`."""
    user, other = await house.person(owner), await house.person(asker)
    node = await house.node(user, Ed25519PrivateKey.generate())
    await house.scores.recompute(house.clock.now())
    token, _ = house.tokens.for_user(other.user_id, new_id(), role)
    return await house.scores.of_node(house.tokens.verify(token), node.node_id)


@pytest.mark.parametrize("role", ["support", "operator"])
async def test_the_staff_sees_everybodys_score(house: House, role: str) -> None:
    assert (await ask(house, "ada@example.com", "bob@example.com", role)).formula_version == 1


async def test_others_see_nobodys_score(house: House) -> None:
    with pytest.raises(NotFound, match="node_not_found"):
        await ask(house, "ada@example.com", "bob@example.com")
    assert (await ask(house, "ada@example.com", "ada@example.com")).score is None


async def test_before_the_first_computation_there_is_a_sentence_and_no_number(house: House) -> None:
    user = await house.person()
    node = await house.node(user, Ed25519PrivateKey.generate())
    token, _ = house.tokens.for_user(user.user_id, new_id(), "user")
    principal: Principal = house.tokens.verify(token)
    score = await house.scores.of_node(principal, node.node_id)
    assert (score.score, score.formula_version, score.computed_at, score.components) == (None, None, None, [])
    assert score.sentence.startswith("Not measured: ")


async def test_a_score_is_told_by_the_formula_that_made_it(house: House) -> None:
    found = replace(made(), formula=1)
    assert explain(new_id(), found, FIRST_FORMULA).formula_version == 1
    assert [formula.version for formula in await house.scores.formulas()] == [1]

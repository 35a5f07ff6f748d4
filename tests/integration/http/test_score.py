"""The score over HTTP."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.api import Api
from support.callers import make_callers

from core.clock import new_id, to_ms
from storage.base import Batch, Opened, Place, Report, RuleGate
from storage.uptime import HOUR_S

ADDRESS = "198.51.100.7"


async def test_the_owner_reads_every_number_that_the_score_is_made_from(api: Api) -> None:
    house = api.house
    owner = await house.person()
    node = await house.node(owner, Ed25519PrivateKey.generate())
    house.clock.advance(timedelta(hours=2))
    token = (await api.sign_in())["access_token"]
    now = to_ms(house.clock.now())
    hour, connection = now // 3_600_000, new_id()
    report = Report(
        node.node_id,
        connection,
        hour - 1,
        0,
        HOUR_S,
        hour * HOUR_S - 1,
        bytes_up=1 << 20,
        answered=95,
        missed=5,
        rtt=bytes([0] * 5 + [20] + [0] * 10),
    )
    opened = Opened(node.node_id, connection, (hour - 1) * 3_600_000, ADDRESS)
    await house.uptime.apply([Batch("w", 1, [opened, report])], {ADDRESS: Place(subnet="198.51.100.0/24")})
    house.database.gates[node.node_id] = [
        RuleGate(rule="shared_address", quarters=1, evidence={"nodes": 3, "others": ["secret"]})
    ]
    await house.scores.recompute(house.clock.now())

    answer = await api.call("GET", f"/nodes/{node.node_id}/score", token=token)
    assert answer.status_code == 200
    score = answer.json()
    parts = {part["name"]: part for part in score["components"]}
    window = 2 * HOUR_S - 120
    uptime = HOUR_S * 10_000 // window
    assert parts["uptime"] == {
        "name": "uptime",
        "points": uptime,
        "weight": 3500,
        "inputs": {
            "confirmed_seconds": HOUR_S,
            "window_seconds": window,
            "least_window_seconds": 3600,
        },
        "could_add": parts["uptime"]["could_add"],
        "sentence": f"Confirmed online for 1 h of 1 h 58 min: {uptime // 100}.{uptime % 100:02} %.",
    }
    assert parts["latency"]["inputs"] == {"samples": 20, "median_ms": 40, "least_samples": 10}
    assert parts["challenges"]["inputs"] == {
        "answered": 95,
        "missed": 5,
        "refused": 0,
        "least_challenges": 10,
    }
    target = (1 << 30) * window // 86_400
    assert parts["contribution"]["inputs"] == {"bytes": 1 << 20, "target_bytes": target}
    assert score["base"] == sum(part["points"] * part["weight"] for part in parts.values()) // 10_000
    assert (score["score"], score["quarters"]) == (score["base"] // 4, 1)
    assert (score["formula_version"], score["window_seconds"]) == (1, window)
    assert score["computed_at"] == house.clock.now().isoformat().replace("+00:00", "Z")
    gates = {gate["name"]: gate for gate in score["gates"]}
    assert gates["shared_address"]["sentence"] == "This node's address is shared by 3 nodes: ×¼."
    assert gates["impossible_travel"]["quarters"] is None
    assert "secret" not in answer.text

    (formula,) = (await api.call("GET", "/network/score-formulas")).json()["items"]
    assert formula["version"] == score["formula_version"]
    assert {name: part["weight"] for name, part in parts.items()} == formula["parameters"]["weights"]


@pytest.mark.parametrize(
    ("place", "quarters", "sentence"),
    [
        (Place(subnet="198.51.100.0/24"), 1, "This node's address is shared by 3 nodes: ×¼."),
        (Place(), None, "Not measured: the address is private, reserved or not known. Not applied."),
    ],
    ids=["public", "private"],
)
async def test_what_the_rules_find_holds_the_score_down_and_says_by_how_much(
    api: Api, place: Place, quarters: int | None, sentence: str
) -> None:
    house = api.house
    owner = await house.person()
    nodes = [await house.node(owner, Ed25519PrivateKey.generate()) for _ in range(3)]
    house.clock.advance(timedelta(hours=2))
    hour = to_ms(house.clock.now()) // 3_600_000
    token = (await api.sign_in())["access_token"]
    records = []
    for node in nodes:
        connection = new_id()
        facts = {"answered": 100, "rtt": bytes([0] * 5 + [20] + [0] * 10)}
        records += [
            Opened(node.node_id, connection, (hour - 1) * 3_600_000, ADDRESS),
            Report(node.node_id, connection, hour - 1, 0, HOUR_S, hour * HOUR_S - 1, **facts),
        ]
    await house.uptime.apply([Batch("w", 1, records)], {ADDRESS: place})
    for rule in await house.stores.abuse.rules():
        await house.stores.abuse.judge(rule, house.clock.now(), 100)
    await house.scores.recompute(house.clock.now())
    score = (await api.call("GET", f"/nodes/{nodes[0].node_id}/score", token=token)).json()
    (gate,) = [gate for gate in score["gates"] if gate["name"] == "shared_address"]
    assert (gate["quarters"], gate["sentence"]) == (quarters, sentence)
    assert score["base"] > 0
    assert score["score"] == (score["base"] if quarters is None else score["base"] * quarters // 4)
    assert score["sentence"].endswith(f"{score['base']} ×¼." if quarters else f"{score['base']} of 10000.")


async def test_a_node_without_a_score_is_not_measured_which_is_not_0(api: Api) -> None:
    owner = await api.house.person()
    token = (await api.sign_in())["access_token"]
    node = await api.house.node(owner, Ed25519PrivateKey.generate())
    path = f"/nodes/{node.node_id}/score"
    before = (await api.call("GET", path, token=token)).json()
    assert (before["score"], before["computed_at"], before["components"]) == (None, None, [])
    await api.house.scores.recompute(api.house.clock.now())
    after = (await api.call("GET", path, token=token)).json()
    assert (after["score"], after["base"]) == (None, None)
    assert {part["name"]: part["points"] for part in after["components"]} == {
        "uptime": None,
        "latency": None,
        "challenges": None,
        "contribution": 0,
    }


@pytest.mark.parametrize(
    ("role", "status"), [("other", 404), ("support", 200), ("operator", 200), ("node", 403)]
)
async def test_the_owner_and_the_staff_see_a_score_and_nobody_else(api: Api, role: str, status: int) -> None:
    callers = await make_callers(api.house)
    path = f"/nodes/{callers.node.node_id}/score"
    assert (await api.call("GET", path, token=callers.token("user"))).status_code == 200
    answer = await api.call("GET", path, token=callers.token(role))
    assert answer.status_code == status
    unknown = await api.call("GET", f"/nodes/{new_id()}/score", token=callers.token("operator"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "node_not_found")

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.api import Api
from support.callers import make_callers
from support.house import public_bytes

from core.clock import new_id
from core.messages import enrol_bytes, token_bytes
from storage.base import Batch, Described, Opened, Place, Report

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def enrolment(user_id: str, key: Ed25519PrivateKey = KEY, name: str = "attic") -> dict[str, str]:
    public = public_bytes(key)
    return {
        "public_key": base64.b64encode(public).decode(),
        "name": name,
        "signature": base64.b64encode(key.sign(enrol_bytes(UUID(user_id), public))).decode(),
    }


def token_request(node_id: str, time_ms: int, key: Ed25519PrivateKey = KEY) -> dict[str, Any]:
    signature = key.sign(token_bytes(UUID(node_id), time_ms))
    return {
        "node_id": node_id,
        "time_ms": time_ms,
        "signature": base64.b64encode(signature).decode(),
    }


async def enrolled(api: Api, session: dict[str, Any]) -> str:
    answer = await api.call(
        "POST", "/nodes", enrolment(session["user"]["user_id"]), token=session["access_token"]
    )
    assert answer.status_code == 201, answer.text
    node_id: str = answer.json()["node_id"]
    return node_id


async def test_a_machine_joins_with_a_pasted_token_and_gets_its_own(api: Api) -> None:
    session = await api.sign_in()
    user_id = session["user"]["user_id"]
    pasted = (await api.call("POST", "/nodes/enrolments", token=session["access_token"])).json()
    assert set(pasted) == {"token", "expires_at"}

    made = await api.call("POST", "/nodes", enrolment(user_id), token=pasted["token"])
    assert made.status_code == 201
    node = made.json()
    assert (node["name"], node["user_id"]) == ("attic", user_id)
    assert base64.b64decode(node["public_key"]) == public_bytes(KEY)

    answer = await api.call("POST", "/nodes/token", token_request(node["node_id"], api.house.now_ms))
    assert answer.status_code == 200
    principal = api.house.tokens.verify(answer.json()["access_token"], "node")
    assert str(principal.node_id) == node["node_id"]

    shown = await api.call("GET", f"/nodes/{node['node_id']}", token=session["access_token"])
    assert shown.json().items() >= node.items()
    overview = (await api.call("GET", "/me/overview", token=session["access_token"])).json()
    assert [row["node_id"] for row in overview["nodes"]] == [node["node_id"]]
    assert overview["nodes"][0]["since"] is None


async def test_enrolling_again_is_the_same_node(api: Api) -> None:
    session = await api.sign_in()
    assert await enrolled(api, session) == await enrolled(api, session)


async def test_a_key_cannot_be_taken_from_its_owner(api: Api) -> None:
    await enrolled(api, await api.sign_in())
    thief = await api.sign_in("bob@example.com")
    body = enrolment(thief["user"]["user_id"])
    answer = await api.call("POST", "/nodes", body, token=thief["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (409, "key_taken")


async def test_an_enrolment_signed_for_somebody_else_is_refused(api: Api) -> None:
    session = await api.sign_in()
    body = enrolment(str(new_id()))
    answer = await api.call("POST", "/nodes", body, token=session["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (400, "signature_invalid")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("public_key", ""),
        ("public_key", "not base64!"),
        ("public_key", "AAAA"),
        ("name", ""),
        ("name", "a\nb"),
    ],
)
async def test_an_enrolment_that_cannot_be_names_the_field(api: Api, field: str, value: str) -> None:
    session = await api.sign_in()
    body = enrolment(session["user"]["user_id"]) | {field: value}
    answer = await api.call("POST", "/nodes", body, token=session["access_token"])
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_a_node_may_not_enrol_nodes_or_see_its_owner(api: Api) -> None:
    session = await api.sign_in()
    node_id = await enrolled(api, session)
    answer = await api.call("POST", "/nodes/token", token_request(node_id, api.house.now_ms))
    token = answer.json()["access_token"]
    body = enrolment(session["user"]["user_id"])
    for answer in (
        await api.call("POST", "/nodes", body, token=token),
        await api.call("GET", "/me", token=token),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_replayed_signature_is_refused(api: Api) -> None:
    node_id = await enrolled(api, await api.sign_in())
    request = token_request(node_id, api.house.now_ms)
    assert (await api.call("POST", "/nodes/token", request)).status_code == 200
    again = await api.call("POST", "/nodes/token", request)
    assert (again.status_code, again.json()["code"]) == (401, "signature_used")


async def test_a_wrong_signature_is_refused_like_an_unknown_node(api: Api) -> None:
    node_id = await enrolled(api, await api.sign_in())
    now = api.house.now_ms
    other = Ed25519PrivateKey.generate()
    for request in (token_request(node_id, now, other), token_request(str(new_id()), now)):
        answer = await api.call("POST", "/nodes/token", request)
        assert (answer.status_code, answer.json()["code"]) == (401, "node_rejected")


async def test_a_node_whose_clock_is_off_learns_the_time(api: Api) -> None:
    node_id = await enrolled(api, await api.sign_in())
    now = api.house.now_ms
    answer = await api.call("POST", "/nodes/token", token_request(node_id, now + 3_600_000))
    assert (answer.status_code, answer.json()["code"]) == (401, "clock_skew")
    corrected = token_request(node_id, answer.json()["server_time"])
    assert (await api.call("POST", "/nodes/token", corrected)).status_code == 200


async def test_nodes_come_page_by_page(api: Api) -> None:
    session = await api.sign_in()
    token = session["access_token"]
    for number in range(3):
        body = enrolment(session["user"]["user_id"], Ed25519PrivateKey.generate(), f"n{number}")
        await api.call("POST", "/nodes", body, token=token)
    first = (await api.call("GET", "/nodes?limit=2", token=token)).json()
    rest = (await api.call("GET", f"/nodes?limit=2&cursor={first['next_cursor']}", token=token)).json()
    assert [node["name"] for node in first["items"] + rest["items"]] == ["n0", "n1", "n2"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        (f"cursor={'0' * 65}", "cursor"),
    ],
)
async def test_a_page_that_cannot_be_names_the_parameter(api: Api, query: str, field: str) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("GET", f"/nodes?{query}", token=token)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        400,
        "invalid_input",
        field,
    )


@pytest.mark.parametrize("node_id", [str(new_id()), "x", "0", "../me"])
async def test_a_node_that_is_not_mine_does_not_exist(api: Api, node_id: str) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("GET", f"/nodes/{node_id.replace('/', '%2F')}", token=token)
    assert answer.status_code == 404


async def test_the_network_and_where_to_connect_are_public(api: Api) -> None:
    await enrolled(api, await api.sign_in())
    summary = (await api.call("GET", "/network/summary")).json()
    assert (summary["users_total"], summary["nodes_total"], summary["nodes_online"]) == (1, 1, 0)
    assert (await api.call("GET", "/client")).json() == {
        "ws_url": None,
        "ws_port": 8081,
        "version": "1.2.3",
        "beat_interval": 10.0,
    }


async def test_an_enrolment_token_runs_out(api: Api) -> None:
    session = await api.sign_in()
    pasted = (await api.call("POST", "/nodes/enrolments", token=session["access_token"])).json()
    api.house.clock.advance(timedelta(hours=1))
    answer = await api.call("POST", "/nodes", enrolment(session["user"]["user_id"]), token=pasted["token"])
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


async def online(api: Api, node_id: str, address: str = "198.51.100.7") -> UUID:
    """Have a worker report of a node's connection; returns its id."""
    house, connection, node = api.house, new_id(), UUID(node_id)
    second = house.now_ms // 1000
    records = [
        Opened(node, connection, house.now_ms, address),
        Described(node, connection, "1.2.3"),
        Report(node, connection, second // 3600, 0, 60, second, rtt_us=12_345, jitter_us=678),
    ]
    place = Place(country="DE", asn=64500)
    await house.uptime.apply([Batch(f"worker-{connection}", 1, records)], {address: place})
    return connection


async def test_a_node_that_was_never_online_says_so_and_nothing_is_zero(api: Api) -> None:
    session = await api.sign_in()
    node_id = await enrolled(api, session)
    shown = (await api.call("GET", f"/nodes/{node_id}", token=session["access_token"])).json()
    unknown = ("since", "country", "address", "asn", "agent_version", "seen_at", "session_id", "rtt_ms")
    assert [shown[name] for name in (*unknown, "jitter_ms")] == [None] * 9
    assert (shown["state"], shown["flapping"], shown["confirmed_seconds"]) == ("offline", False, 0)


async def test_an_owner_sees_how_a_node_does_and_from_where(api: Api) -> None:
    session = await api.sign_in()
    node_id = await enrolled(api, session)
    connection = await online(api, node_id)
    answer = await api.call("GET", f"/nodes/{node_id}", token=session["access_token"])
    assert answer.headers["cache-control"] == "no-store"
    shown = answer.json()
    assert (shown["state"], shown["confirmed_seconds"]) == ("online", 60)
    assert (shown["country"], shown["asn"], shown["address"]) == ("DE", 64500, "198.51.100.7")
    assert (shown["agent_version"], shown["session_id"]) == ("1.2.3", str(connection))
    assert (shown["rtt_ms"], shown["jitter_ms"]) == (12.3, 0.7)
    listed = (await api.call("GET", "/nodes", token=session["access_token"])).json()["items"]
    assert [(node["state"], node["country"]) for node in listed] == [("online", "DE")]
    assert "address" not in listed[0]


async def test_nodes_of_one_state_are_listed(api: Api) -> None:
    session = await api.sign_in()
    token = session["access_token"]
    ids = []
    for number in range(4):
        body = enrolment(session["user"]["user_id"], Ed25519PrivateKey.generate(), f"n{number}")
        ids.append((await api.call("POST", "/nodes", body, token=token)).json()["node_id"])
    for node_id in ids[::2]:
        await online(api, node_id)
    first = (await api.call("GET", "/nodes?state=online&limit=1", token=token)).json()
    cursor = first["next_cursor"]
    rest = (await api.call("GET", f"/nodes?state=online&limit=1&cursor={cursor}", token=token)).json()
    assert [node["name"] for node in first["items"] + rest["items"]] == ["n0", "n2"]
    assert rest["next_cursor"] is None
    answer = await api.call("GET", "/nodes?state=asleep", token=token)
    assert (answer.status_code, answer.json()["field"]) == (400, "state")


async def test_a_node_is_renamed_only_as_it_is_known(api: Api) -> None:
    session = await api.sign_in()
    token, node_id = session["access_token"], await enrolled(api, session)
    seen = (await api.call("GET", f"/nodes/{node_id}", token=token)).headers["etag"]
    await online(api, node_id)
    assert (await api.call("GET", f"/nodes/{node_id}", token=token)).headers["etag"] == seen, "same name"
    path, condition = f"/nodes/{node_id}", {"If-Match": seen}
    renamed = await api.call("PATCH", path, {"name": " cellar "}, token=token, headers=condition)
    assert (renamed.status_code, renamed.json()["name"]) == (200, "cellar")
    late = await api.call("PATCH", path, {"name": "attic"}, token=token, headers=condition)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    fresh = {"If-Match": renamed.headers["etag"]}
    assert (await api.call("PATCH", path, {"name": "roof"}, token=token, headers=fresh)).status_code == 200
    assert (await api.call("PATCH", path, {"name": "shed"}, token=token)).json()["name"] == "shed"
    overview = (await api.call("GET", "/me/overview", token=token)).json()
    assert [node["name"] for node in overview["nodes"]] == ["shed"]


@pytest.mark.parametrize("name", ["", "a" * 65, "a\nb"])
async def test_a_name_that_cannot_be_names_the_field(api: Api, name: str) -> None:
    session = await api.sign_in()
    node_id = await enrolled(api, session)
    answer = await api.call("PATCH", f"/nodes/{node_id}", {"name": name}, token=session["access_token"])
    assert (answer.status_code, answer.json()["field"]) == (400, "name")


async def test_a_retired_node_is_gone_and_what_it_earned_stays(api: Api) -> None:
    session = await api.sign_in()
    token, node_id = session["access_token"], await enrolled(api, session)
    await online(api, node_id)
    before = (await api.call("GET", "/me/overview", token=token)).json()
    assert (before["nodes_total"], before["nodes_online"], before["confirmed_seconds"]) == (1, 1, 60)
    request = token_request(node_id, api.house.now_ms)
    its_own = (await api.call("POST", "/nodes/token", request)).json()["access_token"]

    assert (await api.call("DELETE", f"/nodes/{node_id}", token=token)).status_code == 204
    assert (await api.call("DELETE", f"/nodes/{node_id}", token=token)).status_code == 404
    assert (await api.call("GET", f"/nodes/{node_id}", token=token)).status_code == 404
    assert (await api.call("GET", "/nodes", token=token)).json()["items"] == []
    after = (await api.call("GET", "/me/overview", token=token)).json()
    assert (after["nodes_total"], after["nodes_online"], after["nodes"]) == (0, 0, [])
    assert (after["confirmed_seconds"], after["balance"]) == (60, before["balance"])
    assert after["revision"] > before["revision"]
    assert (await api.call("GET", "/network/summary")).json()["nodes_total"] == 0

    refused = await api.call("GET", "/network/summary", token=its_own)
    assert refused.status_code == 200, "that is for everybody"
    principal = api.house.tokens.verify(its_own)
    assert api.house.revocations.revoked(principal)
    assert [each.node_ids for each in api.house.ended] == [(UUID(node_id),)]
    api.house.clock.advance(timedelta(seconds=1))
    answer = await api.call("POST", "/nodes/token", token_request(node_id, api.house.now_ms))
    assert (answer.status_code, answer.json()["code"]) == (401, "node_rejected")
    assert (await api.house.kinds_noted())[-1] == "node.retired"


async def test_the_key_of_a_retired_node_can_be_enrolled_again(api: Api) -> None:
    session = await api.sign_in()
    first = await enrolled(api, session)
    await api.call("DELETE", f"/nodes/{first}", token=session["access_token"])
    assert await enrolled(api, session) != first


async def test_nobody_changes_or_ends_the_node_of_somebody_else(api: Api) -> None:
    node_id = await enrolled(api, await api.sign_in())
    thief = (await api.sign_in("bob@example.com"))["access_token"]
    for method, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        answer = await api.call(method, f"/nodes/{node_id}", body, token=thief)
        assert (answer.status_code, answer.json()["code"]) == (404, "node_not_found")


async def test_the_staff_sees_anybodys_node_and_that_is_written_down(api: Api) -> None:
    session = await api.sign_in()
    node_id = await enrolled(api, session)
    await online(api, node_id)
    callers = await make_callers(api.house)
    answer = await api.call("GET", f"/admin/nodes/{node_id}", token=callers.token("support"))
    assert (answer.json()["address"], answer.json()["user_id"]) == (
        "198.51.100.7",
        session["user"]["user_id"],
    )
    assert (await api.house.kinds_noted())[-1] == "admin.node_viewed"
    unknown = await api.call("GET", f"/admin/nodes/{new_id()}", token=callers.token("support"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "node_not_found")

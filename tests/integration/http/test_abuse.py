"""Rules and flags over HTTP, for the staff and for the owner."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from support.api import Api
from support.callers import Callers, make_callers
from support.house import token_signature

from core.clock import new_id
from storage.abuse import KINDS
from storage.base import STAFF, Batch, Opened, Place

ADDRESS = "198.51.100.1"


@pytest.fixture
async def callers(api: Api) -> Callers:
    return await make_callers(api.house)


async def share(api: Api, callers: Callers) -> None:
    """Have the user's node share its address with two of somebody else's."""
    others = [await api.house.stores.add_node(callers.people["other"].user_id) for _ in range(2)]
    records = [
        Opened(node_id, new_id(), api.house.now_ms, ADDRESS) for node_id in (callers.node.node_id, *others)
    ]
    await api.house.uptime.apply([Batch("w1", 1, records)], {ADDRESS: Place(subnet="198.51.100.0/24")})
    (rule,) = await api.house.stores.abuse.versions("shared_address", 1)
    await api.house.stores.abuse.judge(rule, api.house.clock.now(), 100)


async def rule_of(api: Api, callers: Callers, name: str = "shared_address") -> dict[str, Any]:
    answer = await api.call("GET", "/admin/abuse/rules", token=callers.token("operator"))
    return next(rule for rule in answer.json()["items"] if rule["name"] == name)


def update_of(rule: dict[str, Any], **changes: Any) -> dict[str, Any]:
    kept = {key: rule[key] for key in ("version", "enabled", "action", "gate", "clear_after", "lifts")}
    parameters = {each["name"]: each["value"] for each in rule["parameters"]}
    return {**kept, "parameters": parameters, **changes}


async def test_an_operator_reads_and_changes_the_rules(api: Api, callers: Callers) -> None:
    answer = await api.call("GET", "/admin/abuse/rules", token=callers.token("operator"))
    assert [rule["name"] for rule in answer.json()["items"]] == sorted(KINDS)
    rule = await rule_of(api, callers)
    (parameter,) = rule["parameters"]
    assert (parameter["name"], parameter["value"], parameter["least"]) == ("nodes", 2, 2)
    changed = await api.call(
        "PUT",
        "/admin/abuse/rules/shared_address",
        update_of(rule, parameters={"nodes": 4}, action="flag"),
        token=callers.token("operator"),
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["version"], changed.json()["parameters"][0]["value"]) == (2, 4)
    assert changed.json()["updated_by"] == str(callers.people["operator"].user_id)
    history = await api.call("GET", "/admin/abuse/rules/shared_address", token=callers.token("operator"))
    assert [each["version"] for each in history.json()["items"]] == [2, 1]
    stale = await api.call(
        "PUT",
        "/admin/abuse/rules/shared_address",
        update_of(rule, gate=0),
        token=callers.token("operator"),
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "rule_changed")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": "hang"}, "action"),
        ({"gate": 3}, "gate"),
        ({"parameters": {"nodes": 0}}, "parameters.nodes"),
        ({"parameters": {"nodes": "3"}}, "parameters"),
        ({"parameters": {"nodes": 3.5}}, "parameters"),
        ({"parameters": {}}, "parameters"),
        ({"clear_after": -1}, "clear_after"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(
    api: Api, callers: Callers, changes: dict[str, Any], field: str
) -> None:
    body = update_of(await rule_of(api, callers), **changes)
    answer = await api.call("PUT", "/admin/abuse/rules/shared_address", body, token=callers.token("operator"))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert answer.json()["field"].startswith(field)


async def test_a_rule_that_is_not_there_is_not_found(api: Api, callers: Callers) -> None:
    body = update_of(await rule_of(api, callers))
    for method, sent in (("GET", None), ("PUT", body)):
        for name in ("nonsense", STAFF, "%00"):
            answer = await api.call(
                method, f"/admin/abuse/rules/{name}", sent, token=callers.token("operator")
            )
            assert (answer.status_code, answer.json()["code"]) == (404, "rule_not_found"), name


async def test_the_staff_lists_flags_by_page_and_by_what_is_asked(api: Api, callers: Callers) -> None:
    await share(api, callers)
    token = callers.token("support")
    first = (await api.call("GET", "/admin/abuse/flags?limit=2", token=token)).json()
    rest = await api.call("GET", f"/admin/abuse/flags?limit=2&cursor={first['next_cursor']}", token=token)
    flags = first["items"] + rest.json()["items"]
    assert (len(flags), rest.json()["next_cursor"]) == (3, None)
    flag_ids = [flag["flag_id"] for flag in flags]
    assert flag_ids == sorted(flag_ids, reverse=True)
    assert {flag["reason"] for flag in flags} == {"This node's address is shared by 3 nodes."}
    assert {flag["evidence"]["address"] for flag in flags} == {ADDRESS}
    user, node = callers.people["user"].user_id, callers.node.node_id
    for query, count in (
        (f"user={user}", 1),
        (f"node={node}", 1),
        (f"user={callers.people['other'].user_id}&state=active&rule=shared_address", 2),
        ("state=cleared", 0),
        ("rule=two_places", 0),
    ):
        found = (await api.call("GET", f"/admin/abuse/flags?{query}", token=token)).json()["items"]
        assert len(found) == count, query
    for query in ("state=gone", "rule=nonsense", "user=x", "node=x", "cursor=x", "limit=0"):
        answer = await api.call("GET", f"/admin/abuse/flags?{query}", token=token)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), query


async def test_a_dismissed_flag_tells_by_whom_and_why(api: Api, callers: Callers) -> None:
    await share(api, callers)
    token = callers.token("support")
    (flag,) = (await api.call("GET", f"/admin/abuse/flags?node={callers.node.node_id}", token=token)).json()[
        "items"
    ]
    path = f"/admin/abuse/flags/{flag['flag_id']}"
    ended = await api.call("POST", f"{path}/dismiss", {"note": "a school", "quiet_days": 2}, token=token)
    assert ended.status_code == 200
    assert (ended.json()["state"], ended.json()["note"]) == ("dismissed", "a school")
    assert ended.json()["ended_by"] == str(callers.people["support"].user_id)
    decisions = (await api.call("GET", f"{path}/decisions", token=token)).json()["items"]
    assert [each["decision"] for each in decisions] == ["raised", "dismissed"]
    assert decisions[1]["evidence"] == {"nodes": 3, "address": ADDRESS}
    again = await api.call("POST", f"{path}/dismiss", {"note": "a school"}, token=token)
    assert (again.status_code, again.json()["code"]) == (404, "flag_not_found")
    unknown = await api.call("GET", f"/admin/abuse/flags/{new_id()}/decisions", token=token)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "flag_not_found")


async def test_an_owner_sees_what_is_held_against_a_node_and_nothing_of_others(
    api: Api, callers: Callers
) -> None:
    path = f"/nodes/{callers.node.node_id}/flags"
    assert (await api.call("GET", path, token=callers.token("user"))).json() == {"items": []}
    await share(api, callers)
    answer = await api.call("GET", path, token=callers.token("user"))
    (flag,) = answer.json()["items"]
    assert flag.pop("since")
    assert flag == {
        "rule": "shared_address",
        "reason": "This node's address is shared by 3 nodes.",
        "action": "gate",
        "gate": 1,
        "evidence": {"nodes": 3, "address": ADDRESS},
    }
    assert str(callers.people["other"].user_id) not in answer.text


async def test_a_suspended_node_is_refused_until_it_is_let_in(api: Api, callers: Callers) -> None:
    node, support = callers.node, callers.people["support"]

    async def ask() -> Any:
        api.house.clock.advance(timedelta(milliseconds=1))
        signature = token_signature(callers.key, node, api.house.now_ms)
        body = {"node_id": str(node.node_id), "time_ms": api.house.now_ms}
        return await api.call("POST", "/nodes/token", {**body, "signature": b64encode(signature).decode()})

    assert (await ask()).status_code == 200
    former = callers.token("node")
    path = f"/admin/nodes/{node.node_id}"
    flag = await api.call("POST", f"{path}/suspend", {"note": "sold its key"}, token=callers.token("support"))
    assert (flag.status_code, flag.json()["raised_by"]) == (200, str(support.user_id))
    refused = await ask()
    assert (refused.status_code, refused.json()["code"]) == (403, "node_suspended")
    assert refused.json()["detail"].endswith("sold its key")
    assert api.house.revocations.revoked(api.house.tokens.verify(former))
    own = await api.call("GET", f"/nodes/{node.node_id}/flags", token=callers.token("user"))
    (held,) = own.json()["items"]
    assert (held["rule"], held["action"]) == (STAFF, "suspend")
    assert held["reason"] == "The operators suspended this node: sold its key"
    let_in = await api.call(
        "POST", f"{path}/unsuspend", {"note": "bought it back"}, token=callers.token("support")
    )
    assert [each["state"] for each in let_in.json()["items"]] == ["dismissed"]
    assert (await ask()).status_code == 200
    again = await api.call("POST", f"{path}/unsuspend", {"note": "again"}, token=callers.token("support"))
    assert (again.status_code, again.json()["code"]) == (409, "node_not_suspended")
    for what in ("suspend", "unsuspend"):
        unknown = await api.call(
            "POST", f"/admin/nodes/{new_id()}/{what}", {"note": "who?"}, token=callers.token("support")
        )
        assert (unknown.status_code, unknown.json()["code"]) == (404, "node_not_found")


async def test_a_suspended_node_is_not_let_in_by_enrolling_its_key_again(api: Api, callers: Callers) -> None:
    token, owner = callers.token("support"), callers.people["user"]
    path = f"/admin/nodes/{callers.node.node_id}/suspend"
    await api.call("POST", path, {"note": "sold its key"}, token=token)
    gone = await api.call("DELETE", f"/nodes/{callers.node.node_id}", token=callers.token("user"))
    assert gone.status_code == 204
    api.house.clock.advance(timedelta(milliseconds=1))
    node = await api.house.node(owner, callers.key)
    assert node.node_id != callers.node.node_id

    async def ask() -> Any:
        api.house.clock.advance(timedelta(milliseconds=1))
        signature = token_signature(callers.key, node, api.house.now_ms)
        body = {"node_id": str(node.node_id), "time_ms": api.house.now_ms}
        return await api.call("POST", "/nodes/token", {**body, "signature": b64encode(signature).decode()})

    refused = await ask()
    assert (refused.status_code, refused.json()["code"]) == (403, "node_suspended")
    (flag,) = (await api.call("GET", f"/admin/abuse/flags?node={node.node_id}", token=token)).json()["items"]
    assert (flag["state"], flag["user_id"]) == ("active", str(owner.user_id))
    decisions = await api.call("GET", f"/admin/abuse/flags/{flag['flag_id']}/decisions", token=token)
    assert [each["note"] for each in decisions.json()["items"]] == [
        "sold its key",
        "Its key was enrolled again.",
    ]
    let_in = await api.call(
        "POST", f"/admin/nodes/{node.node_id}/unsuspend", {"note": "bought it back"}, token=token
    )
    assert let_in.status_code == 200
    assert (await ask()).status_code == 200


async def test_all_that_the_staff_does_is_written_down(api: Api, callers: Callers) -> None:
    await share(api, callers)
    token, node_id = callers.token("support"), callers.node.node_id
    await api.call("POST", f"/admin/nodes/{node_id}/suspend", {"note": "one"}, token=token)
    await api.call("POST", f"/admin/nodes/{node_id}/unsuspend", {"note": "two"}, token=token)
    flags = (await api.call("GET", f"/admin/abuse/flags?node={node_id}&state=active", token=token)).json()
    await api.call(
        "POST",
        f"/admin/abuse/flags/{flags['items'][0]['flag_id']}/dismiss",
        {"note": "three", "quiet_days": 1},
        token=token,
    )
    await api.call(
        "PUT",
        "/admin/abuse/rules/shared_address",
        update_of(await rule_of(api, callers), enabled=False),
        token=callers.token("operator"),
    )
    events = await api.house.audit.read(user_id=None, kind=None, before=None, limit=50)
    assert [event.kind for event in events[:5]] == [
        "abuse.rule_changed",
        "abuse.flag_dismissed",
        "abuse.flags_viewed",
        "node.unsuspended",
        "node.suspended",
    ]
    assert {event.actor_id for event in events[1:5]} == {callers.people["support"].user_id}

"""Every endpoint as everybody: let in or refused as it declares, and nothing of others is seen."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from support.api import V1, Api
from support.callers import NAMES, ROLES, Callers, make_callers

from core.clock import new_id
from core.http.openapi import fails

# What paths have in the place of an id.
NUMBERS = {"number": 1}
REFUSALS = {"token_missing", "token_invalid", "token_expired", "token_revoked", "forbidden"}


@pytest.fixture
async def callers(api: Api) -> Callers:
    return await make_callers(api.house)


async def operations(api: Api) -> dict[tuple[str, str], dict[str, Any]]:
    document = (await api.client.get(f"{V1}/openapi.json")).json()
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


async def ask(api: Api, method: str, path: str, token: str | None, ids: dict[str, UUID]) -> httpx.Response:
    """The emptiest request there is: whoever is let in has nothing but a problem of its content."""
    filled = re.sub(r"\{(\w+)\}", lambda name: str(ids.get(name[1], NUMBERS.get(name[1], new_id()))), path)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {} if method in {"POST", "PUT", "PATCH"} or path == f"{V1}/me" else None
    if (method, path) == ("PATCH", f"{V1}/nodes/{{node_id}}"):
        # It is decoded before anybody looks whose node it is.
        body = {"name": "mine"}
    return await api.client.request(method, filled, json=body, headers=headers)


@pytest.mark.parametrize("role", ROLES)
async def test_every_endpoint_lets_in_whom_it_declares(api: Api, callers: Callers, role: str) -> None:
    described = await operations(api)
    assert len(described) > 25
    for (method, path), operation in described.items():
        admitted = bool(NAMES[role] & set(operation["x-who"]))
        # Whoever is let in may end what the next call needs: each has a token of its own.
        answer = await ask(api, method, path, callers.token(role), {})
        where = f"{role}: {method} {path}: {answer.status_code} {answer.text[:200]}"
        code = answer.json().get("code") if answer.status_code >= 400 else None
        if not admitted:
            expected = (401, "token_missing") if role == "anonymous" else (403, "forbidden")
            assert (answer.status_code, code) == expected, where
            assert (answer.headers.get("www-authenticate") == "Bearer") == (role == "anonymous"), where
        elif operation.get("security") == [{}, {"bearer": []}]:
            # A cookie would do too.
            assert role != "anonymous" or code == "token_missing", where
        else:
            assert code not in REFUSALS, where
        if code is not None:
            documented = operation["responses"][str(answer.status_code)]["x-codes"]
            assert code in documented, where


async def test_only_these_are_open_to_strangers(api: Api) -> None:
    described = await operations(api)
    assert {
        f"{method} {path}" for (method, path), each in described.items() if "anyone" in each["x-who"]
    } == {
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /metrics.json",
        *(
            f"{method} {V1}{path}"
            for method, path in (
                ("GET", "/referrals/codes/{code}"),
                ("POST", "/auth/register"),
                ("POST", "/auth/verify-email"),
                ("POST", "/auth/login"),
                ("POST", "/auth/refresh"),
                ("POST", "/auth/logout"),
                ("POST", "/auth/password/forgot"),
                ("POST", "/auth/password/reset"),
                ("POST", "/auth/email/confirm"),
                ("POST", "/nodes/token"),
                ("GET", "/network/summary"),
                ("GET", "/network/countries"),
                ("GET", "/network/series"),
                ("GET", "/network/score-formulas"),
                ("GET", "/client"),
            )
        ),
    }


async def test_only_the_staff_sees_the_staffs_part(api: Api) -> None:
    described = await operations(api)
    staff = {key: each["x-who"] for key, each in described.items() if "/admin/" in key[1]}
    assert len(staff) >= 5
    # Support looks; what it may change is about abuse, where every hour counts.
    changed = {
        path.rpartition("/")[2]
        for (method, path), who in staff.items()
        if method != "GET" and who == ["support"]
    }
    assert changed == {"dismiss", "suspend", "unsuspend"}
    assert {tuple(who) for who in staff.values()} == {("operator",), ("support",)}


@pytest.mark.parametrize("role", ["other", "support", "operator"])
async def test_what_is_somebody_elses_looks_like_what_is_not_there(
    api: Api, callers: Callers, role: str
) -> None:
    user = callers.people["user"]
    session = await api.house.sessions.open(user, "laptop", "192.0.2.1")
    (record,) = await api.house.stores.sessions.of_user(user.user_id, api.house.clock.now())
    theirs = {"node_id": callers.node.node_id, "session_id": record.session_id}
    found = 0
    for (method, path), operation in (await operations(api)).items():
        if "/admin/" in path or not {name for name in theirs if f"{{{name}}}" in path}:
            continue
        found += 1
        if path.endswith("/score") and role != "other":
            # The staff sees everybody's.
            continue
        real = await ask(api, method, path, callers.token(role), theirs)
        made_up = await ask(api, method, path, callers.token(role), {})
        assert real.status_code == made_up.status_code == 404, f"{method} {path}"
        assert {**real.json(), "request_id": ""} == {**made_up.json(), "request_id": ""}
        assert "x-who" in operation
    assert found >= 6
    assert (await api.house.stores.sessions.of_user(user.user_id, api.house.clock.now())) == [record]
    assert session.access_token


async def test_lists_show_ones_own_only(api: Api, callers: Callers) -> None:
    for path, key in (("/nodes", "node_id"), ("/auth/sessions", "session_id")):
        mine = (await api.call("GET", path, token=callers.token("other"))).json()
        assert (mine["items"], mine["next_cursor"]) == ([], None), key
    nodes = (await api.call("GET", "/nodes", token=callers.token("user"))).json()["items"]
    assert [node["node_id"] for node in nodes] == [str(callers.node.node_id)]


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "token_missing"),
        ("Bearer", "token_missing"),
        ("Basic YWRhOmFkYQ==", "token_missing"),
        ("Bearer x", "token_invalid"),
        ("Bearer " + "x" * 5000, "token_invalid"),
        ("Bearer é", "token_invalid"),
    ],
)
async def test_what_is_no_token_opens_nothing(api: Api, authorization: str, code: str) -> None:
    headers = {"Authorization": authorization.encode()}
    answer = await api.client.get(f"{V1}/me", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    # A stranger's door stays open to whoever brings something useless.
    assert (await api.client.get(f"{V1}/network/summary", headers=headers)).status_code == 200


async def test_a_token_of_an_ended_session_opens_nothing_at_once(api: Api) -> None:
    session = await api.sign_in()
    token = session["access_token"]
    assert (await api.call("GET", "/me", token=token)).status_code == 200
    await api.house.sessions.end_all(UUID(session["user"]["user_id"]))
    for path in ("/me", "/nodes"):
        answer = await api.call("GET", path, token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")


async def test_a_token_that_runs_out_is_not_remembered_as_good(api: Api) -> None:
    session = await api.sign_in()
    assert (await api.call("GET", "/me", token=session["access_token"])).status_code == 200
    api.house.clock.advance(timedelta(hours=1))
    answer = await api.call("GET", "/me", token=session["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


def test_a_problem_that_is_not_in_the_registry_cannot_be_declared() -> None:
    with pytest.raises(KeyError):
        fails("no_such_code")

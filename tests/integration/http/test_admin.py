"""The staff's part, over HTTP."""

from typing import Any

import pytest
from support.api import Api
from support.callers import Callers, make_callers

from core.clock import new_id


@pytest.fixture
async def callers(api: Api) -> Callers:
    return await make_callers(api.house)


async def test_people_are_listed_page_by_page(api: Api, callers: Callers) -> None:
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        path = f"/admin/users?limit=2{f'&cursor={cursor}' if cursor else ''}"
        page = (await api.call("GET", path, token=callers.token("support"))).json()
        assert len(page["items"]) <= 2
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert {each["user_id"] for each in seen} == {str(user.user_id) for user in callers.people.values()}
    assert all("password" not in str(each) for each in seen)


async def test_somebody_is_found_by_address_or_id(api: Api, callers: Callers) -> None:
    user = callers.people["user"]
    for words in (user.email, user.email[:20], str(user.user_id)):
        answer = await api.client.get(
            "/api/v1/admin/users",
            params={"q": words},
            headers={"Authorization": f"Bearer {callers.token('support')}"},
        )
        assert str(user.user_id) in [each["user_id"] for each in answer.json()["items"]]
    nothing = await api.call("GET", "/admin/users?q=%25", token=callers.token("support"))
    assert nothing.json()["items"] == []


async def test_an_operator_changes_roles_and_the_former_token_serves_no_more(
    api: Api, callers: Callers
) -> None:
    user = callers.people["user"]
    token = (await api.house.sessions.open(user, "", "")).access_token
    assert (await api.call("GET", "/me", token=token)).status_code == 200
    path = f"/admin/users/{user.user_id}"
    answer = await api.call("PATCH", path, {"role": "support"}, token=callers.token("operator"))
    assert (answer.status_code, answer.json()["role"]) == (200, "support")
    former = await api.call("GET", "/me", token=token)
    assert (former.status_code, former.json()["code"]) == (401, "token_revoked")
    events = (await api.call("GET", "/admin/audit?kind=role.", token=callers.token("operator"))).json()
    (event,) = events["items"]
    assert (event["kind"], event["user_id"]) == ("role.changed", str(user.user_id))
    assert event["actor_id"] == str(callers.people["operator"].user_id)
    assert event["address"] == "127.0.0.1"
    assert event["request_id"] == answer.headers["x-request-id"]


async def test_nobody_makes_themselves_something_else(api: Api, callers: Callers) -> None:
    operator = callers.people["operator"]
    answer = await api.call(
        "PATCH", f"/admin/users/{operator.user_id}", {"role": "user"}, token=callers.token("operator")
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "own_role")


@pytest.mark.parametrize("body", [{"role": "emperor"}, {"role": None}, {}, {"role": "user", "email": "x"}])
async def test_a_role_that_there_is_not_is_refused(api: Api, callers: Callers, body: dict[str, Any]) -> None:
    path = f"/admin/users/{callers.people['user'].user_id}"
    answer = await api.call("PATCH", path, body, token=callers.token("operator"))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_an_operator_signs_somebody_out_everywhere(api: Api, callers: Callers) -> None:
    user = callers.people["user"]
    for device in ("laptop", "phone"):
        await api.house.sessions.open(user, device, "192.0.2.1")
    path = f"/admin/users/{user.user_id}"
    view = (await api.call("GET", path, token=callers.token("support"))).json()
    assert {each["device"] for each in view["sessions"]} == {"laptop", "phone"}
    answer = await api.call("DELETE", f"{path}/sessions", token=callers.token("operator"))
    assert (answer.status_code, answer.json()) == (200, {"sessions": 2})
    view = (await api.call("GET", path, token=callers.token("support"))).json()
    assert view["sessions"] == []


async def test_the_audit_log_is_read_page_by_page_the_newest_first(api: Api, callers: Callers) -> None:
    for _ in range(5):
        await api.call(
            "GET", f"/admin/users/{callers.people['user'].user_id}", token=callers.token("support")
        )
    first = await api.call("GET", "/admin/audit?kind=admin.viewed&limit=3", token=callers.token("operator"))
    page = first.json()
    rest = await api.call(
        "GET",
        f"/admin/audit?kind=admin.viewed&limit=3&cursor={page['next_cursor']}",
        token=callers.token("operator"),
    )
    ids = [event["event_id"] for event in page["items"] + rest.json()["items"]]
    assert (len(ids), rest.json()["next_cursor"]) == (5, None)
    assert ids == sorted(ids, reverse=True)
    of_other = f"/admin/audit?user={callers.people['other'].user_id}"
    assert (await api.call("GET", of_other, token=callers.token("operator"))).json()["items"] == []


@pytest.mark.parametrize("query", ["kind=nonsense", "kind=.", "user=x", "cursor=x", "limit=0", "limit=201"])
async def test_a_question_that_makes_no_sense_is_refused(api: Api, callers: Callers, query: str) -> None:
    answer = await api.call("GET", f"/admin/audit?{query}", token=callers.token("operator"))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_who_is_not_there_is_not_found(api: Api, callers: Callers) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"role": "user"}),
        ("DELETE", "/sessions", None),
    ):
        answer = await api.call(
            method, f"/admin/users/{new_id()}{path}", body, token=callers.token("operator")
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api import V1, Api, running_api
from support.house import ACCESS_TTL, PASSWORD, REFRESH_TTL

COOKIE = "pulseboard_refresh"
PROGRAM = {"X-Pulseboard-CSRF": "1"}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


async def refresh(api: Api, **body: Any) -> httpx.Response:
    """Renew by the cookie, or by what the body says."""
    return await api.call("POST", "/auth/refresh", body or None, headers=PROGRAM)


async def listed(api: Api, token: str) -> list[dict[str, Any]]:
    answer = await api.call("GET", "/auth/sessions", token=token)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def code(api: Api, token: str) -> str | None:
    """What is said to a caller with `token`; None if it is good."""
    answer = await api.call("GET", "/me", token=token)
    return None if answer.status_code == 200 else answer.json()["code"]


async def test_a_program_gets_its_refresh_token_in_the_body(api: Api) -> None:
    session = await api.sign_in()
    assert COOKIE not in api.client.cookies
    renewed = await api.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert renewed.status_code == 200
    assert renewed.json()["refresh_token"] != session["refresh_token"]
    assert renewed.json()["user"] == session["user"]
    assert datetime.fromisoformat(renewed.json()["expires_at"]) == api.house.clock.now() + timedelta(
        seconds=ACCESS_TTL
    )


async def test_a_browser_gets_its_refresh_token_where_no_script_sees_it(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    assert "refresh_token" not in session
    first = api.client.cookies[COOKIE]
    renewed = await refresh(api)
    assert renewed.status_code == 200
    assert "refresh_token" not in renewed.json()
    attributes = renewed.headers["set-cookie"].split("; ")
    assert sorted(attributes[1:]) == ["HttpOnly", "Max-Age=2592000", f"Path={V1}/auth", "SameSite=strict"]
    assert api.client.cookies[COOKIE] != first


async def test_behind_https_the_cookie_is_this_very_hosts(bundle: Path) -> None:
    async with running_api(bundle, http__public_url="https://pulse.example.com") as api:
        await api.sign_in()
        body = {"email": "ada@example.com", "password": PASSWORD, "cookie": True}
        answer = await api.call("POST", "/auth/login", body)
        held, *attributes = answer.headers["set-cookie"].split("; ")
        assert held.startswith("__Host-pulseboard_refresh=")
        assert sorted(attributes) == ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=strict", "Secure"]
        renewed = await api.call("POST", "/auth/refresh", headers={"Cookie": held, **OWN_PAGE})
        assert renewed.status_code == 200
        assert renewed.headers["set-cookie"].startswith("__Host-pulseboard_refresh=")


async def test_the_cookie_goes_to_the_auth_addresses_only(api: Api) -> None:
    await api.sign_in(cookie=True)
    assert "cookie" not in (await api.call("GET", "/me")).request.headers
    assert "cookie" in (await refresh(api)).request.headers


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "X-Pulseboard-CSRF": "1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null", "X-Pulseboard-CSRF": "1"},
    ],
    ids=["nothing", "cross-site", "same-site", "foreign origin", "no origin"],
)
async def test_another_sites_page_cannot_use_the_cookie(api: Api, path: str, headers: dict[str, str]) -> None:
    session = await api.sign_in(cookie=True)
    answer = await api.call("POST", path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    assert "set-cookie" not in answer.headers
    # Nothing was used up or ended.
    assert await code(api, session["access_token"]) is None
    assert (await refresh(api)).status_code == 200


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
async def test_our_own_page_can_in_browsers_new_and_old(api: Api, path: str) -> None:
    for headers in (OWN_PAGE, {"Origin": f"http://{api.host}:{api.port}"}, PROGRAM):
        await api.sign_in(cookie=True)
        assert (await api.call("POST", path, headers=headers)).is_success


async def test_a_refresh_token_in_the_body_needs_no_proof_of_the_page(api: Api) -> None:
    session = await api.sign_in()
    body = {"refresh_token": session["refresh_token"]}
    answer = await api.call("POST", "/auth/refresh", body, headers={"Origin": "https://other.example"})
    assert answer.status_code == 200


async def test_a_spent_refresh_token_ends_the_session_and_the_access_tokens(api: Api) -> None:
    first = await api.sign_in()
    second = (await refresh(api, refresh_token=first["refresh_token"])).json()
    raced = await refresh(api, refresh_token=first["refresh_token"])
    assert (raced.status_code, raced.json()["code"]) == (409, "refresh_raced")
    assert await code(api, second["access_token"]) is None
    api.house.clock.advance(timedelta(seconds=10))
    reused = await refresh(api, refresh_token=first["refresh_token"])
    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_reused")
    assert await code(api, second["access_token"]) == "token_revoked"
    assert (await refresh(api, refresh_token=second["refresh_token"])).json()["code"] == "refresh_invalid"


async def test_signing_out_ends_the_session_and_forgets_the_cookie(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    stolen = api.client.cookies[COOKIE]
    answer = await api.call("POST", "/auth/logout", token=session["access_token"], headers=OWN_PAGE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert COOKIE not in api.client.cookies
    assert await code(api, session["access_token"]) == "token_revoked"
    refused = await refresh(api, refresh_token=stolen)
    assert (refused.status_code, refused.json()["code"]) == (401, "refresh_invalid")


async def test_a_program_signs_out_by_its_access_token(api: Api) -> None:
    session = await api.sign_in()
    assert (await api.call("POST", "/auth/logout", token=session["access_token"])).status_code == 204
    again = await api.call("POST", "/auth/logout", token=session["access_token"])
    assert (again.status_code, again.json()["code"]) == (401, "token_revoked")


async def test_a_browser_that_slept_past_its_access_token_can_still_sign_out(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    api.house.clock.advance(timedelta(seconds=ACCESS_TTL))
    answer = await api.call("POST", "/auth/logout", token=session["access_token"], headers=OWN_PAGE)
    assert answer.status_code == 204
    assert COOKIE not in api.client.cookies
    assert api.house.database.sessions == {}


async def test_who_is_not_signed_in_cannot_sign_out(api: Api) -> None:
    for token, said in ((None, "token_missing"), ("garbage", "token_invalid")):
        answer = await api.call("POST", "/auth/logout", token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, said)


async def test_a_token_for_enrolling_nodes_signs_nobody_out(api: Api) -> None:
    session = await api.sign_in()
    made = await api.call("POST", "/nodes/enrolments", token=session["access_token"])
    answer = await api.call("POST", "/auth/logout", token=made.json()["token"])
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await code(api, session["access_token"]) is None


async def test_without_any_refresh_token_one_has_to_sign_in(api: Api) -> None:
    for body in (None, {}):
        answer = await api.call("POST", "/auth/refresh", body)
        assert (answer.status_code, answer.json()["code"]) == (401, "refresh_invalid")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_session_ends_when_it_is_not_used(api: Api) -> None:
    await api.sign_in(cookie=True)
    api.house.clock.advance(timedelta(seconds=REFRESH_TTL))
    assert (await refresh(api)).json()["code"] == "refresh_invalid"


async def test_ones_sessions_are_listed_with_what_tells_them_apart(api: Api) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD}
    await api.sign_in()
    api.house.clock.advance(timedelta(minutes=1))
    answer = await api.call("POST", "/auth/login", body, headers={"User-Agent": "Firefox on Linux"})
    session = answer.json()
    api.house.clock.advance(timedelta(minutes=1))
    renewed = (await refresh(api, refresh_token=session["refresh_token"])).json()
    here, there = await listed(api, renewed["access_token"])
    assert (here["device"], here["address"], here["current"]) == ("Firefox on Linux", "127.0.0.1", True)
    assert there["current"] is False
    now = api.house.clock.now()
    assert datetime.fromisoformat(here["last_used_at"]) == now
    assert datetime.fromisoformat(here["created_at"]) == now - timedelta(minutes=1)
    assert datetime.fromisoformat(here["expires_at"]) == now + timedelta(seconds=REFRESH_TTL)
    assert "token" not in " ".join(here)
    await api.sign_in("bob@example.com")
    assert len(await listed(api, renewed["access_token"])) == 2


async def test_sessions_come_page_by_page(api: Api) -> None:
    sessions = [await api.sign_in() for _ in range(5)]
    token = sessions[0]["access_token"]
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        query = f"?limit=2{f'&cursor={cursor}' if cursor else ''}"
        page = (await api.call("GET", f"/auth/sessions{query}", token=token)).json()
        seen += [item["session_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5
    for query in ("?cursor=x", "?limit=0", "?limit=201"):
        refused = await api.call("GET", f"/auth/sessions{query}", token=token)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_input")


async def test_one_session_is_ended_and_the_others_stay(api: Api) -> None:
    here, there = await api.sign_in(), await api.sign_in()
    (theirs,) = [item for item in await listed(api, here["access_token"]) if not item["current"]]
    path = f"/auth/sessions/{theirs['session_id']}"
    answer = await api.call("DELETE", path, token=here["access_token"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert await code(api, there["access_token"]) == "token_revoked"
    assert (await refresh(api, refresh_token=there["refresh_token"])).json()["code"] == "refresh_invalid"
    assert await code(api, here["access_token"]) is None
    gone = await api.call("DELETE", path, token=here["access_token"])
    assert (gone.status_code, gone.json()["code"]) == (404, "session_not_found")


async def test_nobody_ends_the_session_of_another(api: Api) -> None:
    ada, bob = await api.sign_in(), await api.sign_in("bob@example.com")
    (item,) = await listed(api, ada["access_token"])
    answer = await api.call("DELETE", f"/auth/sessions/{item['session_id']}", token=bob["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
    assert await code(api, ada["access_token"]) is None


async def test_ending_ones_own_session_forgets_the_cookie_too(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    (item,) = await listed(api, session["access_token"])
    await api.call("DELETE", f"/auth/sessions/{item['session_id']}", token=session["access_token"])
    assert COOKIE not in api.client.cookies


async def test_all_other_sessions_are_ended(api: Api) -> None:
    sessions = [await api.sign_in() for _ in range(3)]
    bob = await api.sign_in("bob@example.com")
    answer = await api.call("DELETE", "/auth/sessions?keep_current=true", token=sessions[0]["access_token"])
    assert answer.status_code == 204
    tokens = [session["access_token"] for session in (*sessions, bob)]
    assert [await code(api, token) for token in tokens] == [None, "token_revoked", "token_revoked", None]


async def test_one_signs_out_everywhere(api: Api) -> None:
    sessions = [await api.sign_in(cookie=True) for _ in range(3)]
    assert (await api.call("DELETE", "/auth/sessions", token=sessions[0]["access_token"])).status_code == 204
    assert {await code(api, session["access_token"]) for session in sessions} == {"token_revoked"}
    assert COOKIE not in api.client.cookies


async def test_the_cookie_alone_lists_and_ends_nothing(api: Api) -> None:
    await api.sign_in(cookie=True)
    for method in ("GET", "DELETE"):
        answer = await api.call(method, "/auth/sessions", headers=OWN_PAGE)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")


async def test_an_enrolment_token_ends_with_its_session(api: Api) -> None:
    session = await api.sign_in()
    made = await api.call("POST", "/nodes/enrolments", token=session["access_token"])
    await api.call("POST", "/auth/logout", token=session["access_token"])
    body = {"public_key": "", "name": "attic", "signature": ""}
    answer = await api.call("POST", "/nodes", body, token=made.json()["token"])
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")

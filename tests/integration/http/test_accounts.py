from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.api import V1, Api, running_api
from support.house import ACCESS_TTL, PASSWORD, REFRESH_TTL

COOKIE = "pulseboard_refresh"


async def test_from_nobody_to_an_empty_dashboard(api: Api) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD, "display_name": "Ada"}
    made = await api.call("POST", "/auth/register", body)
    assert made.status_code == 201
    session = await api.sign_in()
    assert session["user"] == made.json()
    assert datetime.fromisoformat(session["expires_at"]) == api.house.clock.now() + timedelta(
        seconds=ACCESS_TTL
    )
    token = session["access_token"]
    me = await api.call("GET", "/me", token=token)
    assert me.json() == made.json()
    assert (me.json()["email"], me.json()["display_name"], me.json()["role"]) == (
        "ada@example.com",
        "Ada",
        "user",
    )
    assert "password" not in me.text
    overview = (await api.call("GET", "/me/overview", token=token)).json()
    assert (overview["nodes_total"], overview["accruing"], overview["nodes"]) == (0, "0", [])


async def test_a_program_gets_its_refresh_token_in_the_body(api: Api) -> None:
    session = await api.sign_in()
    assert COOKIE not in api.client.cookies
    renewed = await api.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert renewed.status_code == 200
    assert renewed.json()["refresh_token"] != session["refresh_token"]
    assert renewed.json()["user"] == session["user"]


async def test_a_browser_gets_its_refresh_token_where_no_script_sees_it(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    assert "refresh_token" not in session
    first = api.client.cookies[COOKIE]
    renewed = await api.call("POST", "/auth/refresh")
    assert renewed.status_code == 200
    assert "refresh_token" not in renewed.json()
    attributes = renewed.headers["set-cookie"].split("; ")
    assert sorted(attributes[1:]) == [
        "HttpOnly",
        "Max-Age=2592000",
        f"Path={V1}/auth",
        "SameSite=strict",
    ]
    assert api.client.cookies[COOKIE] != first


async def test_behind_https_the_cookie_travels_there_only(bundle: Path) -> None:
    async with running_api(bundle, http__public_url="https://pulse.example.com") as api:
        await api.sign_in()
        body = {"email": "ada@example.com", "password": PASSWORD, "cookie": True}
        answer = await api.call("POST", "/auth/login", body)
        assert "Secure" in answer.headers["set-cookie"].split("; ")


async def test_the_cookie_goes_to_the_auth_addresses_only(api: Api) -> None:
    await api.sign_in(cookie=True)
    assert "cookie" not in (await api.call("GET", "/me")).request.headers
    assert "cookie" in (await api.call("POST", "/auth/refresh")).request.headers


async def test_signing_out_ends_the_session_and_forgets_the_cookie(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    stolen = api.client.cookies[COOKIE]
    answer = await api.call("POST", "/auth/logout", token=session["access_token"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert COOKIE not in api.client.cookies
    refused = await api.call("POST", "/auth/refresh", {"refresh_token": stolen})
    assert (refused.status_code, refused.json()["code"]) == (401, "refresh_invalid")


async def test_a_browser_that_slept_past_its_access_token_can_still_sign_out(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    api.house.clock.advance(timedelta(seconds=ACCESS_TTL))
    answer = await api.call("POST", "/auth/logout", token=session["access_token"])
    assert answer.status_code == 204
    assert COOKIE not in api.client.cookies
    assert api.house.database.sessions == {}


async def test_who_is_not_signed_in_cannot_sign_out(api: Api) -> None:
    answer = await api.call("POST", "/auth/logout")
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")


async def test_without_any_refresh_token_one_has_to_sign_in(api: Api) -> None:
    for body in (None, {}):
        answer = await api.call("POST", "/auth/refresh", body)
        assert (answer.status_code, answer.json()["code"]) == (401, "refresh_invalid")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_session_ends_when_it_is_not_used(api: Api) -> None:
    await api.sign_in(cookie=True)
    api.house.clock.advance(timedelta(seconds=REFRESH_TTL))
    assert (await api.call("POST", "/auth/refresh")).json()["code"] == "refresh_invalid"


async def test_a_taken_address_is_a_conflict(api: Api) -> None:
    await api.sign_in()
    body = {"email": "ADA@example.com", "password": PASSWORD}
    answer = await api.call("POST", "/auth/register", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


async def test_a_wrong_password_and_an_unknown_address_look_the_same(api: Api) -> None:
    await api.sign_in()
    answers = []
    for email in ("ada@example.com", "bob@example.com"):
        answer = await api.call("POST", "/auth/login", {"email": email, "password": "wrong password"})
        assert answer.status_code == 401
        problem = answer.json()
        del problem["request_id"]
        answers.append(problem)
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "invalid_credentials"


@pytest.mark.parametrize("path", ["/me", "/me/overview", "/nodes"])
async def test_without_a_valid_token_there_is_nothing_to_see(api: Api, path: str) -> None:
    token = (await api.sign_in())["access_token"]
    enrolment = (await api.call("POST", "/nodes/enrolments", token=token)).json()["token"]
    for sent, code in (
        (None, "token_missing"),
        ("garbage", "token_invalid"),
        (token[:-4] + "AAAA", "token_invalid"),
        (enrolment, "token_invalid"),
    ):
        answer = await api.call("GET", path, token=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"] == "Bearer"
    api.house.clock.advance(timedelta(seconds=ACCESS_TTL))
    answer = await api.call("GET", path, token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "", "eyJ0eXAi"])
async def test_another_authorization_is_no_token(api: Api, header: str) -> None:
    answer = await api.call("GET", "/me", headers={"Authorization": header})
    assert answer.json()["code"] == "token_missing"

"""From a stranger to somebody signed in, over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from support.api import Api
from support.house import ACCESS_TTL, PAGE_URL, PASSWORD

from core.errors import StorageUnavailable

ADA = "ada@example.com"
NEW = "a brand new pass sentence"
SAID = {"detail": "If this address can be used, a mail is on its way."}


def outcome(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code") if answer.content else None


async def register(api: Api, email: str = ADA, **more: Any) -> httpx.Response:
    return await api.call("POST", "/auth/register", {"email": email, "password": PASSWORD, **more})


async def login(api: Api, password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await api.call("POST", "/auth/login", {"email": ADA, "password": password, **more})


async def test_from_nobody_to_an_empty_dashboard(api: Api) -> None:
    made = await register(api, display_name="Ada", locale="de-AT")
    assert (made.status_code, made.json()) == (202, SAID)
    assert outcome(await login(api)) == (401, "invalid_credentials")
    token = await api.house.link(ADA)
    assert outcome(await api.call("POST", "/auth/verify-email", {"token": token})) == (204, None)
    session = (await login(api)).json()
    assert datetime.fromisoformat(session["expires_at"]) == api.house.clock.now() + timedelta(
        seconds=ACCESS_TTL
    )
    me = await api.call("GET", "/me", token=session["access_token"])
    assert me.json() == session["user"]
    facts = {
        key: me.json()[key] for key in ("email", "display_name", "role", "locale", "time_zone", "wallet")
    }
    assert facts == {
        "email": ADA,
        "display_name": "Ada",
        "role": "user",
        "locale": "de-AT",
        "time_zone": "UTC",
        "wallet": None,
    }
    assert "password" not in me.text
    overview = (await api.call("GET", "/me/overview", token=session["access_token"])).json()
    assert (overview["nodes_total"], overview["balance"], overview["nodes"]) == (0, "0", [])
    assert overview["accruing"] is None


async def test_the_answer_does_not_tell_whether_there_is_an_account(api: Api) -> None:
    await api.house.person(ADA)
    answers = []
    for path, body in (("/auth/register", {"password": PASSWORD}), ("/auth/password/forgot", {})):
        for email in (ADA, "nobody@example.com"):
            answer = await api.call("POST", path, {"email": email, **body})
            headers = {name for name in answer.headers if name != "x-request-id"}
            answers.append((answer.status_code, answer.content, headers))
    assert answers[1::2] == answers[::2]
    assert {(status, content) for status, content, _ in answers} == {answers[0][:2]}
    wrong = [
        await api.call("POST", "/auth/login", {"email": email, "password": "a wrong password"})
        for email in (ADA, "nobody@example.com")
    ]
    bodies = [{**answer.json(), "request_id": ""} for answer in wrong]
    assert bodies[0] == bodies[1]
    assert bodies[0]["code"] == "invalid_credentials"


async def test_links_come_from_the_configuration_whatever_the_host_header_says(api: Api) -> None:
    headers = {"Host": "evil.example.com", "X-Forwarded-Host": "evil.example.com"}
    body = {"email": ADA, "password": PASSWORD}
    answer = await api.call("POST", "/auth/register", body, headers=headers)
    assert answer.status_code == 202
    (mail,) = await api.house.mails()
    text = mail.as_string()
    assert "evil" not in text
    assert f"{PAGE_URL}/#/verify?token=" in mail.get_body(("plain",)).get_content()


async def test_a_forgotten_password_is_replaced(api: Api) -> None:
    session = await api.sign_in()
    assert (await api.call("POST", "/auth/password/forgot", {"email": ADA})).json() == SAID
    body = {"token": await api.house.link(ADA), "password": NEW}
    assert outcome(await api.call("POST", "/auth/password/reset", body)) == (204, None)
    assert outcome(await api.call("POST", "/auth/password/reset", body)) == (400, "link_invalid")
    assert outcome(await api.call("GET", "/me", token=session["access_token"])) == (401, "token_revoked")
    renewed = await api.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert outcome(renewed) == (401, "refresh_invalid")
    assert outcome(await login(api)) == (401, "invalid_credentials")
    assert (await login(api, NEW)).status_code == 200


async def test_a_token_of_one_kind_does_not_serve_for_another(api: Api) -> None:
    await api.house.person("bob@example.com")
    await register(api)
    await api.call("POST", "/auth/password/forgot", {"email": "bob@example.com"})
    verify, reset = await api.house.link(ADA), await api.house.link("bob@example.com")
    for path, body in (
        ("/auth/verify-email", {"token": reset}),
        ("/auth/email/confirm", {"token": reset}),
        ("/auth/email/confirm", {"token": verify}),
        ("/auth/password/reset", {"token": verify, "password": NEW}),
    ):
        assert outcome(await api.call("POST", path, body)) == (400, "link_invalid")


async def test_guessing_is_refused_with_the_time_to_wait(api: Api) -> None:
    await api.house.person(ADA)
    for _ in range(10):
        assert outcome(await login(api, "a wrong password")) == (401, "invalid_credentials")
    refused = await login(api)
    assert outcome(refused) == (429, "too_many_attempts")
    assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] > 0


@pytest.mark.parametrize(
    ("email", "field"),
    [
        ("no address", "email"),
        ("\u0430da@example.com", "email"),
        ("ada@example.com\r\nBcc: eve@example.com", "email"),
        ("ada@example.com\u0000", "email"),
        ("'; DROP TABLE account; --@example.com", "email"),
    ],
)
async def test_an_address_that_is_none_is_a_stable_problem(api: Api, email: str, field: str) -> None:
    for path, more in (("/auth/register", {"password": PASSWORD}), ("/auth/password/forgot", {})):
        answer = await api.call("POST", path, {"email": email, **more})
        assert outcome(answer) == (400, "invalid_input")
        assert answer.json()["field"] == field
    assert outcome(await api.call("POST", "/auth/login", {"email": email, "password": "x"})) == (
        401,
        "invalid_credentials",
    )
    assert await api.house.mails() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/register", {"email": ADA}),
        ("/auth/register", {"email": ADA, "password": PASSWORD, "role": "operator"}),
        ("/auth/register", {"email": ADA, "password": None}),
        ("/auth/register", {"email": [ADA], "password": PASSWORD}),
        ("/auth/register", {"email": ADA, "password": PASSWORD, "display_name": "x\ny"}),
        ("/auth/register", {"email": ADA, "password": PASSWORD, "display_name": 7}),
        ("/auth/register", {"email": ADA, "password": "x" * 2000}),
        ("/auth/register", {"email": ADA, "password": PASSWORD, "locale": "xx_YY"}),
        ("/auth/verify-email", {}),
        ("/auth/verify-email", {"token": 1}),
        ("/auth/password/forgot", {"email": {}}),
        ("/auth/password/reset", {"token": "x"}),
        ("/auth/email/confirm", {"token": None}),
        ("/auth/login", {"email": ADA, "password": PASSWORD, "code": 123456}),
        ("/auth/login", {"email": ADA, "password": PASSWORD, "cookie": "yes"}),
    ],
)
async def test_a_body_of_another_shape_is_a_stable_problem(api: Api, path: str, body: dict[str, Any]) -> None:
    assert outcome(await api.call("POST", path, body)) == (400, "invalid_input")


async def test_nothing_secret_reaches_the_log(api: Api) -> None:
    with capture_logs() as logs:
        await register(api)
        token = await api.house.link(ADA)
        await api.call("POST", "/auth/verify-email", {"token": token})
        session = (await login(api)).json()
        await login(api, "a wrong password")
    written = repr(logs)
    for secret in (
        PASSWORD,
        token,
        "a wrong password",
        session["access_token"],
        session["refresh_token"],
        ADA,
    ):
        assert secret not in written


async def test_the_log_of_events_has_the_address_and_the_request(api: Api) -> None:
    await api.house.person(ADA)
    answer = await login(api)
    (event,) = await api.house.stores.audit.read(user_id=None, kind="login.ok", before=None, limit=5)
    assert event.address == "127.0.0.1"
    assert event.request_id == answer.headers["x-request-id"]


async def test_a_database_that_dies_in_the_middle_is_a_503_and_leaves_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(api.house.stores.confirmations, "put_registration", away)
        assert outcome(await register(api)) == (503, "unavailable")
    assert api.house.database.registrations == {}
    assert api.house.database.mails == {}
    assert (await register(api)).status_code == 202


@pytest.mark.parametrize("path", ["/me", "/me/overview", "/nodes"])
async def test_without_a_valid_token_there_is_nothing_to_see(api: Api, path: str) -> None:
    token = (await api.sign_in())["access_token"]
    enrolment = (await api.call("POST", "/nodes/enrolments", token=token)).json()["token"]
    for sent, expected in (
        (None, (401, "token_missing")),
        ("garbage", (401, "token_invalid")),
        (token[:-4] + "AAAA", (401, "token_invalid")),
        (enrolment, (403, "forbidden")),
    ):
        assert outcome(await api.call("GET", path, token=sent)) == expected
    api.house.clock.advance(timedelta(seconds=ACCESS_TTL))
    answer = await api.call("GET", path, token=token)
    assert outcome(answer) == (401, "token_expired")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "", "eyJ0eXAi"])
async def test_another_authorization_is_no_token(api: Api, header: str) -> None:
    answer = await api.call("GET", "/me", headers={"Authorization": header})
    assert answer.json()["code"] == "token_missing"

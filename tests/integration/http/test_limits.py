"""How often, how long and from where: the API's limits as clients meet them."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from support.api import V1, running_api
from support.house import PASSWORD


async def test_a_client_is_told_what_is_left_and_when_to_come_back(bundle: Path) -> None:
    async with running_api(bundle, http__rate=0.5, http__burst=3) as api:
        answers = [await api.call("GET", "/client") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
            "r=2",
            "r=1",
            "r=0",
            "r=0",
        ]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=6'}
        problem = answers[3].json()
        assert (problem["code"], problem["retry_after"]) == ("too_many_requests", 2)
        assert answers[3].headers["retry-after"] == "2"
        # Load balancers and people who look at the page are not clients of the API.
        for path in ("/healthz", "/"):
            assert (await api.client.get(path)).status_code == 200


async def test_people_behind_one_address_have_limits_of_their_own(bundle: Path) -> None:
    async with running_api(bundle, http__rate=0.01, http__burst=2) as api:
        tokens = []
        for email in ("ada@example.com", "bob@example.com"):
            user = await api.house.person(email)
            tokens.append((await api.house.sessions.open(user, "", "")).access_token)
        for token in tokens:
            statuses = [(await api.call("GET", "/me", token=token)).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]


async def test_without_a_rate_there_is_no_limit(bundle: Path) -> None:
    async with running_api(bundle, http__rate=0.0, http__burst=1) as api:
        for _ in range(5):
            answer = await api.call("GET", "/client")
            assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)


async def test_behind_a_trusted_proxy_each_client_is_its_own(bundle: Path) -> None:
    async with running_api(
        bundle, http__rate=0.01, http__burst=1, http__trusted_proxies=["127.0.0.0/8"]
    ) as api:
        for address in ("203.0.113.1", "203.0.113.2"):
            headers = {"X-Forwarded-For": f"198.51.100.7, {address}"}
            statuses = [(await api.call("GET", "/client", headers=headers)).status_code for _ in range(2)]
            assert statuses == [200, 429]


async def test_a_stranger_cannot_pass_for_others(bundle: Path) -> None:
    async with running_api(bundle, http__rate=0.01, http__burst=1) as api:
        statuses = [
            (await api.call("GET", "/client", headers={"X-Forwarded-For": f"203.0.113.{n}"})).status_code
            for n in range(3)
        ]
        assert statuses == [200, 429, 429]


async def test_where_somebody_signed_in_from_is_what_the_proxy_says(bundle: Path) -> None:
    async with running_api(bundle, http__trusted_proxies=["127.0.0.1"]) as api:
        await api.house.person()
        body = {"email": "ada@example.com", "password": PASSWORD}
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": "proxy-0123456789"}
        token = (await api.call("POST", "/auth/login", body, headers=headers)).json()["access_token"]
        (session,) = (await api.call("GET", "/auth/sessions", token=token)).json()["items"]
        assert session["address"] == "203.0.113.9"
        (event,) = await api.house.audit.read(user_id=None, kind="login.ok", before=None, limit=9)
        assert (event.address, event.request_id) == ("203.0.113.9", "proxy-0123456789")


async def test_what_takes_too_long_is_given_up_and_leaves_nothing_behind(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api(bundle, http__request_timeout=0.05) as api:
        given_up = asyncio.Event()

        async def slow(*_: Any) -> Any:
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()

        user = await api.house.person()
        token = (await api.house.sessions.open(user, "", "")).access_token
        with monkeypatch.context() as patched:
            patched.setattr(api.house.stores.nodes, "of_user", slow)
            answer = await api.call("GET", "/nodes", token=token)
        assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
        assert given_up.is_set()
        # The connection and the process are as good as before.
        assert (await api.call("GET", "/nodes", token=token)).status_code == 200


async def test_a_body_that_never_ends_is_given_up(bundle: Path) -> None:
    async with running_api(bundle, http__request_timeout=0.05) as api:
        answer = await api.raw(
            b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\nConnection: close\r\n\r\n{"
        )
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"timeout"' in answer


async def test_pages_of_other_sites_read_only_what_they_may(bundle: Path) -> None:
    site = "https://stats.example.com"
    async with running_api(bundle, http__allowed_origins=[site]) as api:
        ask_first = {"Origin": site, "Access-Control-Request-Method": "GET"}
        answer = await api.client.options(f"{V1}/me", headers=ask_first)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, site)
        assert "authorization" in answer.headers["access-control-allow-headers"]
        for headers, allowed in (({"Origin": site}, site), ({"Origin": "https://evil.example"}, None)):
            # Also what is refused can be read, or nobody would know why.
            for path in ("/client", "/me"):
                read = await api.call("GET", path, headers=headers)
                assert read.headers.get("access-control-allow-origin") == allowed
                assert read.headers["vary"] == "origin"
        refused = await api.client.options(
            f"{V1}/me", headers={**ask_first, "Origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in refused.headers


async def test_options_tells_all_methods_of_an_address(bundle: Path) -> None:
    async with running_api(bundle) as api:
        assert (await api.client.options(f"{V1}/me")).headers["allow"] == "DELETE, GET, OPTIONS, PATCH"
        assert (await api.client.options(f"{V1}/nodes/{UUID(int=1)}/score")).headers[
            "allow"
        ] == "GET, OPTIONS"


async def test_a_plain_read_is_answered_the_same_on_either_way(bundle: Path) -> None:
    async with running_api(bundle) as api:
        token = (await api.sign_in())["access_token"]
        for path in ("/me", "/me/overview", "/client", "/network/summary"):
            short = await api.call("GET", path, token=token)
            # An address with a slash at its end is found by the framework only.
            long = await api.call("GET", f"{path}/", token=token)
            assert (
                (short.status_code, short.content) == (long.status_code, long.content) == (200, long.content)
            )
            kept = {name for name in short.headers if name not in {"date", "x-request-id", "ratelimit"}}
            assert {name: short.headers[name] for name in kept} == {name: long.headers[name] for name in kept}
            without = [await api.call("GET", each) for each in (path, f"{path}/")]
            assert without[0].status_code == without[1].status_code


async def test_no_secret_is_ever_logged(bundle: Path) -> None:
    with capture_logs() as logs:
        async with running_api(bundle) as api:
            session = await api.sign_in()
            for token in (session["access_token"], "made-up-token"):
                await api.call("GET", "/me", token=token)
            await api.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
            await api.call("POST", "/auth/login", {"email": "ada@example.com", "password": "wrong secret 12"})
    text = str(logs)
    for secret in (PASSWORD, session["access_token"], session["refresh_token"], "wrong secret 12", "made-up"):
        assert secret not in text

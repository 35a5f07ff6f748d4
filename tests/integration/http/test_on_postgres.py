"""The API over PostgreSQL: what only a real database can show."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.api import Api, running_api
from support.earned import Farm
from support.house import PASSWORD, public_bytes
from support.stores import postgres_stores

from core.messages import enrol_bytes, token_bytes
from services.accounts import totp
from storage.postgres import Pool

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
# What a program says to show that no other site's page made it send its cookie.
OWN = {"X-Pulseboard-CSRF": "1"}


@pytest.fixture
async def api(bundle: Path, pool: Pool) -> AsyncIterator[Api]:
    async with running_api(bundle, postgres_stores(pool)) as api:
        api.checks["database"] = pool.ping
        yield api


def outcomes(answers: list[httpx.Response]) -> Counter[str]:
    return Counter(answer.json().get("code", str(answer.status_code)) for answer in answers)


async def enrolled(api: Api) -> str:
    session = await api.sign_in()
    public = public_bytes(KEY)
    signature = KEY.sign(enrol_bytes(UUID(session["user"]["user_id"]), public))
    body = {
        "public_key": base64.b64encode(public).decode(),
        "name": "dachboden 🏠",
        "signature": base64.b64encode(signature).decode(),
    }
    answers = await asyncio.gather(
        *(api.call("POST", "/nodes", body, token=session["access_token"]) for _ in range(4))
    )
    (node_id,) = {answer.json()["node_id"] for answer in answers}
    return str(node_id)


async def test_the_whole_way_through(api: Api) -> None:
    node_id = await enrolled(api)
    session = await api.sign_in()
    token = session["access_token"]
    listed = (await api.call("GET", "/nodes", token=token)).json()
    assert [(node["node_id"], node["name"]) for node in listed["items"]] == [(node_id, "dachboden 🏠")]
    overview = (await api.call("GET", "/me/overview", token=token)).json()
    assert (overview["nodes_total"], overview["balance"], overview["accruing"]) == (1, "0", None)
    summary = (await api.call("GET", "/network/summary")).json()
    assert (summary["users_total"], summary["nodes_total"]) == (1, 1)
    renewed = await api.call("POST", "/auth/refresh", {"refresh_token": session["refresh_token"]})
    assert renewed.status_code == 200
    assert (await api.call("POST", "/auth/logout", token=token)).status_code == 204
    ended = await api.call("POST", "/auth/refresh", {"refresh_token": renewed.json()["refresh_token"]})
    assert ended.json()["code"] == "refresh_invalid"
    assert (await api.client.get("/readyz")).status_code == 200


async def test_of_many_who_register_an_address_at_once_one_gets_it(api: Api) -> None:
    body = {"email": "bob@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(api.call("POST", "/auth/register", body) for _ in range(8)))
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (202, b'{"detail":"If this address can be used, a mail is on its way."}')
    }
    mails = await api.house.mails("bob@example.com")
    assert len(mails) == 3
    words = [word for mail in mails for word in mail.get_body(("plain",)).get_content().split()]
    tokens = [word.partition("token=")[2] for word in words if "token=" in word]
    answers = await asyncio.gather(
        *(api.call("POST", "/auth/verify-email", {"token": token}) for token in tokens * 2)
    )
    codes = Counter(answer.json()["code"] if answer.content else "204" for answer in answers)
    assert codes == {"204": 1, "link_invalid": 5}
    login = await api.call("POST", "/auth/login", body)
    assert login.status_code == 200


async def test_everything_an_account_can_do(api: Api) -> None:
    """The whole of the account services on real tables; what they do is tested one by one elsewhere."""
    session = await api.sign_in()
    token = session["access_token"]
    assert (await api.call("PATCH", "/me", {"time_zone": "Asia/Tokyo"}, token=token)).status_code == 200
    offer = (await api.call("POST", "/me/second-factor", {"password": PASSWORD}, token=token)).json()
    code = totp.code_at(base64.b32decode(offer["secret"]), api.house.now_ms // 30_000)
    turned_on = await api.call("POST", "/me/second-factor/confirm", {"code": code}, token=token)
    recovery = turned_on.json()["recovery_codes"]
    body = {"email": "lovelace@example.com", "password": PASSWORD}
    assert (await api.call("PUT", "/me/email", body, token=token)).status_code == 202
    for address in ("ada@example.com", "lovelace@example.com"):
        link = {"token": await api.house.link(address)}
        assert (await api.call("POST", "/auth/email/confirm", link)).status_code == 200
    body = {"current": PASSWORD, "new": "a brand new pass sentence"}
    assert (await api.call("PUT", "/me/password", body, token=token)).status_code == 204
    forgot = {"email": "lovelace@example.com"}
    assert (await api.call("POST", "/auth/password/forgot", forgot)).status_code == 202
    body = {"token": await api.house.link("lovelace@example.com"), "password": PASSWORD}
    assert (await api.call("POST", "/auth/password/reset", body)).status_code == 204
    body = {"email": "lovelace@example.com", "password": PASSWORD, "code": recovery[0]}
    token = (await api.call("POST", "/auth/login", body)).json()["access_token"]
    copy = (await api.call("GET", "/me/export", token=token)).json()
    assert copy["second_factor"]["recovery_codes_left"] == 9
    assert copy["account"]["time_zone"] == "Asia/Tokyo"
    body = {"password": PASSWORD, "code": recovery[1]}
    assert (await api.call("DELETE", "/me", body, token=token)).status_code == 204
    assert (await api.call("GET", "/me", token=token)).json()["code"] == "token_revoked"


async def test_a_refresh_token_serves_once_however_often_it_is_sent(api: Api) -> None:
    body = {"refresh_token": (await api.sign_in())["refresh_token"]}
    answers = await asyncio.gather(*(api.call("POST", "/auth/refresh", body) for _ in range(8)))
    assert outcomes(answers) == {"200": 1, "refresh_raced": 7}
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    again = await api.call("POST", "/auth/refresh", {"refresh_token": winner["refresh_token"]})
    assert again.status_code == 200


async def test_a_stolen_refresh_token_ends_the_session_for_both(api: Api) -> None:
    first = (await api.sign_in())["refresh_token"]
    second = (await api.call("POST", "/auth/refresh", {"refresh_token": first})).json()["refresh_token"]
    api.house.clock.advance(timedelta(minutes=1))
    for token, code in ((first, "refresh_reused"), (second, "refresh_invalid")):
        answer = await api.call("POST", "/auth/refresh", {"refresh_token": token})
        assert (answer.status_code, answer.json()["code"]) == (401, code)


async def test_a_sleeping_browser_signs_out_with_its_cookie(api: Api) -> None:
    session = await api.sign_in(cookie=True)
    stolen = api.client.cookies["pulseboard_refresh"]
    await api.call("POST", "/auth/refresh", headers=OWN)
    api.house.clock.advance(timedelta(minutes=15))
    assert (
        await api.call("POST", "/auth/logout", token=session["access_token"], headers=OWN)
    ).status_code == 204
    answer = await api.call("POST", "/auth/refresh", {"refresh_token": stolen})
    assert answer.json()["code"] == "refresh_invalid"


async def test_a_nodes_signature_serves_once_however_often_it_is_sent(api: Api) -> None:
    node_id = await enrolled(api)
    now = api.house.now_ms
    body = {
        "node_id": node_id,
        "time_ms": now,
        "signature": base64.b64encode(KEY.sign(token_bytes(UUID(node_id), now))).decode(),
    }
    answers = await asyncio.gather(*(api.call("POST", "/nodes/token", body) for _ in range(8)))
    assert outcomes(answers) == {"200": 1, "signature_used": 7}


async def test_a_database_that_goes_away_is_a_503(api: Api, pool: Pool) -> None:
    session = await api.sign_in()
    await pool.close()
    answer = await api.call("GET", "/me", token=session["access_token"])
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    ready = await api.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "unavailable")
    assert (await api.client.get("/healthz")).status_code == 200


async def test_what_was_earned_is_the_same_on_every_screen_and_claimed_once(api: Api) -> None:
    farm = await Farm.begin(api.house)
    owner = await api.house.person()
    assert await api.house.user_store.set_wallet(owner.user_id, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
    nodes = [await farm.node(owner) for _ in range(3)]
    for _ in range(4):
        await farm.work({node: 100 + index for index, node in enumerate(nodes)}, minutes=30, moved=7)
        await farm.close()
    await farm.work({nodes[0]: 60}, minutes=30)
    token = (await api.sign_in())["access_token"]

    async def get(path: str) -> Any:
        answer = await api.call("GET", path, token=token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    overview, summary = await get("/me/overview"), await get("/earnings/summary")
    history, series = await get("/earnings/history"), await get("/earnings/series?period=month")
    assert len({overview["balance"], summary["balance"], series["amount"]}) == 1
    assert sum(int(item["amount"]) for item in history["items"]) == int(overview["balance"])
    assert overview["accruing"] == summary["accruing"]
    assert int(overview["accruing"]["amount"]) == farm.pool // 2
    explained = await get("/earnings/epochs/2")
    rewarded = {pool["category"]: int(pool["rewarded"]) for pool in explained["epoch"]["pools"]}
    own = sum(int(node["availability"]) for node in explained["nodes"])
    assert (len(explained["nodes"]), own) == (3, rewarded["availability"])
    claims = await asyncio.gather(*(api.call("POST", "/rewards/claims", token=token) for _ in range(5)))
    assert sorted(claim.status_code for claim in claims) == [201, 409, 409, 409, 409]
    rewards = await get("/rewards")
    assert (rewards["claimable"], rewards["claimed"]) == ("0", summary["claimable"])
    assert int(rewards["claimed"]) > 0
    assert await api.house.stores.ledger.check() == []

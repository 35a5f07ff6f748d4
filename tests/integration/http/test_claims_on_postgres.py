"""Claims that come at the same moment, and again and again, to several processes over one database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from support.api import Api, running_api
from support.earned import TERMS, Farm
from support.stores import postgres_stores

from storage.base import Balances, Streak
from storage.postgres import connect

# A day with a minute of work earns a bonus, and nothing else earns anything.
BONUS = 777_000
ONLY_A_BONUS = replace(
    TERMS,
    availability_pool=0,
    usage_pool=0,
    bonus_pool=1_000 * BONUS,
    hold_seconds=0,
    minimum_payout=1,
    streak=Streak(days=1, least_seconds=60, amount=BONUS),
)


@pytest.fixture
async def apis(bundle: Path, postgres_dsn: str) -> AsyncIterator[list[Api]]:
    """Two that know nothing of each other, but for the database."""
    async with AsyncExitStack() as running:
        apis = []
        for _ in range(2):
            pool = await connect(postgres_dsn)
            running.push_async_callback(pool.close)
            apis.append(await running.enter_async_context(running_api(bundle, postgres_stores(pool))))
        yield apis


async def _earners(apis: list[Api], count: int) -> list[str]:
    """So many people who can claim a bonus; returns their access tokens."""
    api = apis[0]
    farm = await Farm.begin(api.house, ONLY_A_BONUS)
    emails = [f"earner{n}@example.com" for n in range(count)]
    nodes = []
    for n, email in enumerate(emails):
        owner = await api.house.person(email)
        assert await api.house.user_store.set_wallet(owner.user_id, f"0x{n:040x}")
        nodes.append(await farm.node(owner))
    await farm.work(dict.fromkeys(nodes, 60), minutes=30)
    await farm.close()
    for other in apis[1:]:
        other.house.clock.advance(api.house.clock.now() - other.house.clock.now())
    return [(await api.sign_in(email))["access_token"] for email in emails]


async def _claim(api: Api, token: str, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.call("POST", "/rewards/claims", token=token, headers=headers)


async def _rewards(api: Api, token: str) -> dict[str, Any]:
    found: dict[str, Any] = (await api.call("GET", "/rewards", token=token)).json()
    return found


async def test_of_fifty_claims_of_one_bonus_at_once_one_gets_it(apis: list[Api]) -> None:
    [token] = await _earners(apis, 1)
    assert (await _rewards(apis[1], token))["claimable"] == str(BONUS)

    answers = await asyncio.gather(*(_claim(apis[n % 2], token, f"claim-of-{n:02}") for n in range(50)))

    codes = Counter(answer.json().get("code", "claimed") for answer in answers)
    assert codes == {"claimed": 1, "nothing_to_claim": 49}
    user_id = apis[0].house.tokens.verify(token).user_id
    ledger = apis[0].house.stores.ledger
    assert await ledger.balances([user_id]) == {user_id: Balances(claimed=BONUS)}
    assert await ledger.check() == []


async def test_every_claim_sent_three_times_in_any_order_to_any_process_is_booked_once(
    apis: list[Api],
) -> None:
    tokens = await _earners(apis, 6)
    sent = [(token, n % 2) for token in tokens for n in range(3)]
    Random(6).shuffle(sent)

    answers = await asyncio.gather(*(_claim(apis[place], token, "the-only-one") for token, place in sent))
    again = [await _claim(apis[place], token, "the-only-one") for token, place in sent]

    claims: dict[str, set[str]] = {token: set() for token in tokens}
    for (token, _), answer in [*zip(sent, answers, strict=True), *zip(sent, again, strict=True)]:
        if answer.status_code == 201:
            claims[token].add(answer.json()["claim_id"])
        else:
            assert answer.json()["code"] == "in_progress", answer.text
    assert {len(found) for found in claims.values()} == {1}
    assert {answer.status_code for answer in again} == {201}
    for token in tokens:
        rewards = await _rewards(apis[1], token)
        assert (rewards["claimable"], rewards["claimed"]) == ("0", str(BONUS))
    assert await apis[0].house.stores.ledger.check() == []

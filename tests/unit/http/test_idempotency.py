"""Requests that are sent again, through a small application of their own."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody
from msgspec import Struct
from support.house import House

from core.errors import Conflict, StorageUnavailable
from core.http.idempotency import STALE, Idempotency
from core.http.permissions import CALLER, guard, may
from core.http.problems import handle
from core.http.requests import ApiRequest

KEY = {"Idempotency-Key": "order-0001"}


class Order(Struct):
    item: str


class Shop:
    """Counts what is done, and lets it wait or fail."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun = asyncio.Event()
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.error: Exception | None = None

    async def order(self, item: str) -> int:
        self.begun.set()
        await self.proceed.wait()
        if self.error is not None:
            raise self.error
        self.done.append(item)
        return len(self.done)


class Site:
    """The application, and a client that is somebody."""

    def __init__(self, house: House) -> None:
        shop = self.shop = Shop()

        @post("/orders", opt=may("user", idempotent=True))
        async def order(data: JSONBody[Order]) -> dict[str, int]:
            return {"number": await shop.order(data.item)}

        @post("/notes", opt=may("user"))
        async def note(data: JSONBody[Order]) -> dict[str, int]:
            return {"number": await shop.order(data.item)}

        self.house = house
        self.repeats = Idempotency(house.stores.idempotency, house.clock, max_body=1000)
        self.app = Litestar(
            [order, note],
            middleware=[guard, self.repeats.middleware],
            request_class=ApiRequest,
            exception_handlers={Exception: handle},
            openapi_config=None,
            logging_config=None,
        )
        self.caller: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = {CALLER: self.caller}
        await self.app(scope, receive, send)

    async def ask(self, path: str, item: str, headers: dict[str, str] = KEY) -> httpx.Response:
        transport = httpx.ASGITransport(self)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.post(path, json={"item": item}, headers=headers)


@pytest.fixture
async def site(house: House) -> Site:
    site = Site(house)
    user = await house.person()
    site.caller = house.tokens.verify((await house.sessions.open(user, "", "")).access_token)
    return site


async def test_the_second_time_it_is_answered_but_not_done(site: Site) -> None:
    first, second = await site.ask("/orders", "tea"), await site.ask("/orders", "tea")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json() == {"number": 1}
    assert site.shop.done == ["tea"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["content-type"] == "application/json"


async def test_without_a_key_or_where_it_is_not_heeded_it_is_done_again(site: Site) -> None:
    for _ in range(2):
        await site.ask("/orders", "tea", {})
        await site.ask("/notes", "tea")
    assert len(site.shop.done) == 4


async def test_the_same_key_for_something_else_is_refused(site: Site) -> None:
    await site.ask("/orders", "tea")
    other = await site.ask("/orders", "coffee")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert site.shop.done == ["tea"]


async def test_another_person_has_keys_of_their_own(site: Site) -> None:
    await site.ask("/orders", "tea")
    user = await site.house.person("bob@example.com")
    site.caller = site.house.tokens.verify((await site.house.sessions.open(user, "", "")).access_token)
    assert (await site.ask("/orders", "coffee")).json() == {"number": 2}


async def test_of_two_at_once_one_is_done_and_the_other_told_to_wait(site: Site) -> None:
    site.shop.proceed.clear()
    first = asyncio.create_task(site.ask("/orders", "tea"))
    await site.shop.begun.wait()
    second = await site.ask("/orders", "tea")
    assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (
        409,
        "in_progress",
        "1",
    )
    site.shop.proceed.set()
    assert (await first).status_code == 201
    assert site.shop.done == ["tea"]


@pytest.mark.parametrize(
    "error", [Conflict("key_taken", "No."), StorageUnavailable("away"), ZeroDivisionError()]
)
async def test_what_failed_may_be_sent_again(site: Site, error: Exception) -> None:
    site.shop.error = error
    assert (await site.ask("/orders", "tea")).status_code in {409, 503, 500}
    site.shop.error = None
    assert (await site.ask("/orders", "tea")).json() == {"number": 1}


async def test_work_goes_on_when_the_client_has_gone_and_its_answer_is_kept(site: Site) -> None:
    site.shop.proceed.clear()
    gone = asyncio.create_task(site.ask("/orders", "tea"))
    await site.shop.begun.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    site.shop.proceed.set()
    await site.repeats.finish()
    assert site.shop.done == ["tea"]
    again = await site.ask("/orders", "tea")
    assert (again.json(), again.headers["idempotency-replayed"]) == ({"number": 1}, "true")
    assert site.shop.done == ["tea"]


async def test_who_began_and_died_does_not_hold_the_key_for_ever(site: Site) -> None:
    site.shop.proceed.clear()
    first = asyncio.create_task(site.ask("/orders", "tea"))
    await site.shop.begun.wait()
    site.house.clock.advance(STALE + timedelta(seconds=1))
    site.shop.proceed.set()
    assert (await site.ask("/orders", "tea")).status_code == 201
    await first


@pytest.mark.parametrize("key", ["short", "x" * 129, "with space", "é" * 10, ""])
async def test_a_key_that_is_none_is_refused(site: Site, key: str) -> None:
    transport = httpx.ASGITransport(site)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        answer = await client.post("/orders", json={"item": "tea"}, headers={"Idempotency-Key": key.encode()})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert answer.json()["field"] == "Idempotency-Key"
    assert site.shop.done == []


async def test_a_body_over_the_limit_is_refused_before_the_key_is_taken(site: Site) -> None:
    assert (await site.ask("/orders", "x" * 2000)).status_code == 413
    assert (await site.ask("/orders", "tea")).status_code == 201


async def test_a_stranger_gets_no_answer_that_was_kept(site: Site) -> None:
    await site.ask("/orders", "tea")
    site.caller = None
    assert (await site.ask("/orders", "tea")).status_code == 401


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(site.house.stores.idempotency, "finish", away)
    assert (await site.ask("/orders", "tea")).json() == {"number": 1}
    # Nobody knows whether it was done, so it is not done again.
    assert (await site.ask("/orders", "tea")).json()["code"] == "in_progress"

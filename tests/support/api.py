"""The HTTP API on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from support.house import PASSWORD, House
from support.stores import Stores

from core.config import Config, load
from core.http.app import Injected, create_app
from core.http.operations import Check
from core.http.page import Page
from core.http.server import serve
from storage.memory import MemoryPresence

V1 = "/api/v1"


async def answers() -> None:
    """A check that finds its server well."""


class Api:
    """A running API and a client of it."""

    def __init__(self, house: House, presence: MemoryPresence, client: httpx.AsyncClient) -> None:
        self.house = house
        self.presence = presence
        self.client = client
        self.draining = asyncio.Event()
        self.stop = asyncio.Event()
        self.checks: dict[str, Check] = {"database": answers, "redis": answers}
        self.host = ""
        self.port = 0

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask the API below /api/v1."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return await self.client.request(method, V1 + path, json=body, headers=sent)

    async def sign_in(self, email: str = "ada@example.com", *, cookie: bool = False) -> dict[str, Any]:
        """Make an account, unless there is one, and open a session; returns the session."""
        await self.house.person(email)
        body = {"email": email, "password": PASSWORD, "cookie": cookie}
        answer = await self.call("POST", "/auth/login", body)
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    async def raw(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own and read until the server closes it."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(data)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()


@asynccontextmanager
async def running_api(page: Path, stores: Stores | None = None, **flags: Any) -> AsyncIterator[Api]:
    """Serve until the block ends, over memory unless `stores` are given.

    `flags` are settings, "__" for the dot.
    """
    config: Config = load(environ={}, flags={key.replace("__", "."): value for key, value in flags.items()})
    house, presence = House(stores), MemoryPresence()
    async with httpx.AsyncClient() as client:
        api = Api(house, presence, client)
        services = Injected(
            accounts=house.accounts,
            sessions=house.sessions,
            networks=house.networks,
            owned=house.nodes,
            statistics=house.statistics,
            earnings=house.earnings,
            explanations=house.explanations,
            claims=house.claims,
            tokens=house.tokens,
            revocations=house.revocations,
            audit=house.audit,
            staff=house.staff,
            abuse=house.abuse,
            scores=house.scores,
            referrals=house.referrals,
            campaigns=house.campaigns,
            oversight=house.oversight(presence),
        )
        app = create_app(
            config=config,
            version="1.2.3",
            services=services,
            idempotency=house.stores.idempotency,
            presence=presence,
            clock=house.clock,
            checks=api.checks,
            draining=api.draining,
            sources=[house.passwords.metrics],
            page=Page(page),
        )
        started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

        def announce(host: str, port: int) -> None:
            started.set_result((host, port))

        serving = asyncio.create_task(serve(app, "127.0.0.1", 0, api.stop, announce=announce, grace=5))
        try:
            await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
            api.host, api.port = started.result()
            client.base_url = httpx.URL(f"http://{api.host}:{api.port}")
            yield api
        finally:
            api.stop.set()
            await serving
            house.close()

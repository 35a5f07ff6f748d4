"""The description against the server: thousands of requests made from it, good, bad and in sequence."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.api import V1, Api, running_api
from support.callers import Callers, make_callers
from support.servers import Databases
from support.stores import postgres_stores

from storage.postgres import connect

SETTINGS = Path(__file__).with_name("schemathesis.toml")
SECONDS = 200


@asynccontextmanager
async def furnished(bundle: Path, databases: Databases | None) -> AsyncIterator[tuple[Api, Callers]]:
    """An API that lets everybody ask as fast as they can, and people who have something to list.

    Over PostgreSQL if there are `databases`, else over memory.
    """
    dsn = await databases.create() if databases else None
    pool = await connect(dsn) if dsn else None
    try:
        stores = postgres_stores(pool) if pool else None
        async with running_api(bundle, stores, http__rate=1e6, http__burst=1_000_000) as api:
            callers = await make_callers(api.house)
            for user in callers.people.values():
                await api.house.node(user, Ed25519PrivateKey.generate())
                for number in range(3):
                    await api.house.sessions.open(user, f"laptop {number}", "192.0.2.1")
            yield api, callers
    finally:
        if pool:
            await pool.close()
        if databases and dsn:
            await databases.drop(dsn)


@pytest.mark.parametrize(
    ("role", "examples"), [("anonymous", 3), ("user", 5), ("node", 1), ("enrol", 2), ("operator", 6)]
)
@pytest.mark.timeout(SECONDS + 30)
async def test_the_server_does_what_its_description_says(
    bundle: Path, databases: Databases, role: str, examples: int, tmp_path: Path
) -> None:
    # Only who may do everything needs to meet a real database.
    async with furnished(bundle, databases if role == "operator" else None) as (api, callers):
        token = callers.token(role)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS)),
            *("run", f"{api.client.base_url}{V1}/openapi.json", "--max-examples", str(examples)),
            *(("--header", f"Authorization: Bearer {token}") if token else ()),
            cwd=tmp_path,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "150"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, output.decode()
        assert (await api.client.get("/healthz")).status_code == 200

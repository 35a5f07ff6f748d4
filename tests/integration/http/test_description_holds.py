"""The description against the server: thousands of requests made from it, good, bad and in sequence."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import V1, Api, running_api
from support.callers import Callers, make_callers

SETTINGS = Path(__file__).with_name("schemathesis.toml")
SECONDS = 200


@pytest.fixture
async def open_api(bundle: Path) -> AsyncIterator[Api]:
    """An API that lets everybody ask as fast as they can."""
    async with running_api(bundle, http__rate=1e6, http__burst=1_000_000) as api:
        yield api


@pytest.fixture
async def callers(open_api: Api) -> Callers:
    callers = await make_callers(open_api.house)
    for user in callers.people.values():
        for number in range(3):
            await open_api.house.sessions.open(user, f"laptop {number}", "192.0.2.1")
    return callers


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize(
    ("role", "examples"), [("anonymous", 80), ("user", 100), ("operator", 100)]
)
async def test_the_server_does_what_its_description_says(
    open_api: Api, callers: Callers, role: str, examples: int, tmp_path: Path
) -> None:
    token = callers.token(role)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(SETTINGS)),
        *("run", f"{open_api.client.base_url}{V1}/openapi.json", "--max-examples", str(examples)),
        *(("--header", f"Authorization: Bearer {token}") if token else ()),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
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
    assert (await open_api.client.get("/healthz")).status_code == 200

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api import Api, running_api

from core.errors import StartupError
from core.http.server import bind, serve


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nobody asks")


async def test_a_port_in_use_is_one_clear_sentence(api: Api) -> None:
    with pytest.raises(StartupError) as refused:
        await serve(nothing, api.host, api.port, asyncio.Event())
    assert str(refused.value) == f"http: cannot listen on 127.0.0.1 port {api.port}: Address already in use"
    assert isinstance(refused.value.__cause__, OSError)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_one_clear_sentence(host: str) -> None:
    with pytest.raises(StartupError, match=f"^http: cannot listen on {host} port 0: "):
        bind(host, 0)


def test_port_0_is_a_free_one() -> None:
    with bind("127.0.0.1", 0) as first, bind("127.0.0.1", 0) as second:
        assert 0 != first.getsockname()[1] != second.getsockname()[1] != 0


async def test_no_signal_handler_is_touched(bundle: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running_api(bundle) as api:
        assert (await api.client.get("/healthz")).status_code == 200
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_stopping_finishes_what_was_begun_and_takes_no_more(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_api(bundle) as api:
        begun, proceed = asyncio.Event(), asyncio.Event()
        summary = api.house.networks.summary

        async def slow() -> Any:
            begun.set()
            await proceed.wait()
            return await summary()

        monkeypatch.setattr(api.house.networks, "summary", slow)
        request = asyncio.create_task(api.call("GET", "/network/summary"))
        await begun.wait()
        api.stop.set()
        async with httpx.AsyncClient(base_url=api.client.base_url) as late:
            while True:
                try:
                    await late.get("/healthz")
                except httpx.TransportError:
                    break
        proceed.set()
        assert (await request).status_code == 200


async def test_stopping_does_not_wait_for_idle_connections(bundle: Path) -> None:
    async with running_api(bundle) as api:
        reader, writer = await asyncio.open_connection(api.host, api.port)
        await api.client.get("/healthz")
        api.stop.set()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

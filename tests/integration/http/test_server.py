import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api import Api, running_api

from core.errors import StartupError
from core.http import server
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


def served(messages: list[dict[str, Any]]) -> Any:
    """An application that sends these, whatever is asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(dict(message))

    return app


async def raw_answer(
    app: Any, request: bytes = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
) -> bytes:
    """What goes over the wire for one request."""
    started: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(app, "127.0.0.1", 0, stop, announce=lambda *address: started.set_result(address))
    )
    reader, writer = await asyncio.open_connection(*await started)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    stop.set()
    await serving
    return answer


def start(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def body(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_an_answer_that_names_its_length_is_sent_as_it_is() -> None:
    answer = await raw_answer(served([start((b"content-length", b"3"), (b"x-a", b"b")), body(b"abc")]))
    head, _, content = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"content-length: 3", b"x-a: b", b"connection: close"} <= set(lines)
    assert sum(line.startswith(b"date: ") for line in lines) == 1
    assert content == b"abc"


async def test_an_answer_in_parts_arrives_whole() -> None:
    parts = [start((b"content-length", b"6")), body(b"abc", more=True), body(b"def")]
    assert (await raw_answer(served(parts))).endswith(b"\r\n\r\nabcdef")
    chunked = await raw_answer(served([start(), body(b"abc", more=True), body(b"def")]))
    assert b"transfer-encoding: chunked" in chunked
    assert chunked.endswith(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")


async def test_head_has_the_length_and_no_body() -> None:
    answer = await raw_answer(
        served([start((b"content-length", b"3")), body(b"abc")]),
        b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    assert b"content-length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"b\r\nset-cookie: evil=1"),
        (b"x-a", b"b\nevil: 1"),
        (b"x-a\r\nevil", b"1"),
        (b"x-a", b"b\r"),
        (b"x-a", b"b\0"),
        (b"x-a", b"\r\n\r\n<script>"),
    ],
)
async def test_a_header_cannot_bring_another_one_in(header: tuple[bytes, bytes]) -> None:
    answer = await raw_answer(served([start((b"content-length", b"3"), header), body(b"abc")]))
    assert b"evil" not in answer
    assert b"<script>" not in answer
    assert not answer.startswith(b"HTTP/1.1 200")


async def test_an_answer_longer_or_shorter_than_it_said_is_not_passed_off_as_whole() -> None:
    for data in (b"abcd", b"ab"):
        answer = await raw_answer(served([start((b"content-length", b"3")), body(data)]))
        assert not answer.endswith(b"\r\n\r\nabc")


async def test_a_head_that_trickles_in_is_given_up(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT", 0.05)
    async with running_api(bundle) as api:
        answer = await api.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer
        whole = await api.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert whole.startswith(b"HTTP/1.1 200 ")

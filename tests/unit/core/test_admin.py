"""The admin port of a process."""

import asyncio
import socket

import httpx
import pytest

from core.admin import AdminServer
from core.errors import StartupError


class Subject:
    """A process that is as the test says."""

    def __init__(self):
        self.reasons = []
        self.broken = False

    def metrics(self):
        if self.broken:
            raise RuntimeError("postgresql://user:secret@host/db")
        return {"connections_open": 3, "messages_total": 7, "version": "1.0"}

    def ready(self):
        return not self.reasons, self.reasons


@pytest.fixture
async def subject():
    return Subject()


@pytest.fixture
async def get(subject):
    server = AdminServer("127.0.0.1", 0, subject.metrics, subject.ready)
    assert server.url == ""
    await server.start()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client.get
    await server.stop()


async def test_healthz_says_that_the_loop_runs(get):
    answer = await get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readyz_says_why_not(get, subject):
    answer = await get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})
    subject.reasons = ["draining"]
    answer = await get("/readyz?verbose=1")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": ["draining"]})


async def test_metrics_for_prometheus(get):
    answer = await get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "pulseboard_connections_open 3.0" in answer.text
    assert "pulseboard_messages_total 7.0" in answer.text


async def test_metrics_in_json(get):
    answer = await get("/metrics.json")
    assert answer.json() == {"connections_open": 3, "messages_total": 7, "version": "1.0"}


@pytest.mark.parametrize("path", ["/", "/health", "/healthz/", "/%2e%2e/etc/passwd"])
async def test_everything_else_is_a_problem(get, path):
    answer = await get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


async def test_an_error_inside_tells_nothing(get, subject):
    subject.broken = True
    answer = await get("/metrics.json")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.text
    assert (await get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
    ],
)
async def test_requests_that_it_does_not_take_are_answered_400_and_harm_nothing(get, request_head):
    url = httpx.URL(str((await get("/healthz")).url))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request_head)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (await get("/healthz")).status_code == 200


async def test_a_port_in_use_is_named(subject):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"{port} on 127.0.0.1"):
            await AdminServer("127.0.0.1", port, subject.metrics, subject.ready).start()

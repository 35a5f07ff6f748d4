from typing import Any

import pytest
from structlog.testing import capture_logs

from core.http.edge import MAX_HEAD, Edge, content_security_policy


def answering(body: bytes, *headers: tuple[bytes, bytes]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send(
            {"type": "http.response.body", "body": body + scope["method"].encode(), "more_body": False}
        )

    return app


async def failing(scope: Any, receive: Any, send: Any) -> None:
    raise ZeroDivisionError("secret")


async def breaking_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ZeroDivisionError("secret")


async def call(
    edge: Edge, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await edge({"type": "http", "method": method, "path": path, "headers": pairs}, None, send)
    return (
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        sent[1]["body"],
    )


@pytest.fixture
def edge() -> Edge:
    return Edge(answering(b"api "), answering(b"page "), content_security_policy(None, 8081))


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("/", b"page"),
        ("/login", b"page"),
        ("/healthz/deep", b"page"),
        ("/apiary", b"page"),
        ("/api", b"api"),
        ("/api/v1/me", b"api"),
        ("/healthz", b"api"),
        ("/metrics.json/", b"api"),
    ],
)
async def test_the_path_says_who_answers(edge: Edge, path: str, who: bytes) -> None:
    _, _, body = await call(edge, path)
    assert body.split()[0] == who


async def test_head_is_answered_like_get(edge: Edge) -> None:
    assert (await call(edge, "/", "HEAD"))[2] == b"page GET"


async def test_answers_of_the_api_are_not_stored_unless_they_say_so() -> None:
    policy = content_security_policy(None, 1)
    plain = Edge(answering(b""), answering(b""), policy)
    assert (await call(plain, "/api/v1/me"))[1]["cache-control"] == "no-store"
    assert "cache-control" not in (await call(plain, "/"))[1]
    told = Edge(answering(b"", (b"Cache-Control", b"max-age=1")), answering(b""), policy)
    assert (await call(told, "/api/v1/me"))[1]["Cache-Control"] == "max-age=1"


async def test_a_sane_request_id_is_kept(edge: Edge) -> None:
    _, headers, _ = await call(edge, "/", x_request_id="proxy-0123456789")
    assert headers["x-request-id"] == "proxy-0123456789"


@pytest.mark.parametrize("bad", ["", "short", "x" * 65, "has space", 'quote"quote', "line\nbreak", "é" * 8])
async def test_any_other_request_id_is_replaced(edge: Edge, bad: str) -> None:
    _, headers, _ = await call(edge, "/", x_request_id=bad)
    assert headers["x-request-id"] != bad
    assert len(headers["x-request-id"]) == 32


async def test_every_request_is_logged_once_without_its_secrets(edge: Edge) -> None:
    with capture_logs() as logs:
        await call(edge, "/api/v1/me", authorization="Bearer secret", x_request_id="proxy-0123456789")
    assert len(logs) == 1
    line = logs[0]
    assert (line["event"], line["method"], line["path"], line["status"]) == (
        "request",
        "GET",
        "/api/v1/me",
        200,
    )
    assert line["ms"] >= 0
    assert "secret" not in str(logs)


async def test_an_unforeseen_error_becomes_a_problem_with_the_request_id() -> None:
    edge = Edge(failing, failing, content_security_policy(None, 1))
    with capture_logs() as logs:
        status, headers, body = await call(edge, "/", x_request_id="proxy-0123456789")
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"proxy-0123456789" in body
    assert b"secret" not in body
    assert [line["event"] for line in logs] == ["unexpected error", "request"]


async def test_an_answer_that_breaks_off_is_not_finished_with_another() -> None:
    edge = Edge(breaking_off, breaking_off, content_security_policy(None, 1))
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        await call(edge, "/")
    assert [line["event"] for line in logs] == ["unexpected error while answering", "request"]


async def test_headers_beyond_the_limit_are_refused(edge: Edge) -> None:
    assert (await call(edge, "/", x="y" * (MAX_HEAD - 100)))[0] == 200
    status, _, body = await call(edge, "/", x="y" * MAX_HEAD)
    assert status == 431
    assert b"headers_too_large" in body


async def test_what_happens_is_counted() -> None:
    edge = Edge(answering(b""), failing, content_security_policy(None, 1))
    with capture_logs():
        await call(edge, "/api/v1/me")
        await call(edge, "/")
    metrics = edge.metrics()
    assert metrics["http_requests_total"] == 2
    assert (metrics["http_responses_2xx_total"], metrics["http_responses_5xx_total"]) == (1, 1)
    assert metrics["http_requests_in_flight"] == 0
    assert metrics["http_request_seconds_total"] > 0


def connect_src(policy: bytes) -> str:
    return next(part for part in policy.decode().split("; ") if part.startswith("connect-src"))


@pytest.mark.parametrize(
    ("host", "sources"),
    [
        (b"pulse.example.com", "ws://pulse.example.com:8081 wss://pulse.example.com:8081"),
        (b"127.0.0.1:8080", "ws://127.0.0.1:8081 wss://127.0.0.1:8081"),
        (b"[::1]:8080", "ws://*:8081 wss://*:8081"),
        (b"", "ws://*:8081 wss://*:8081"),
        (b"x; script-src *", "ws://*:8081 wss://*:8081"),
    ],
)
def test_the_page_may_connect_to_the_workers_of_its_own_host(host: bytes, sources: str) -> None:
    assert connect_src(content_security_policy(None, 8081)(host)) == f"connect-src 'self' {sources}"


def test_the_page_may_connect_to_the_workers_public_address() -> None:
    policy = content_security_policy("wss://ws.example.com:444/ws", 8081)(b"pulse.example.com")
    assert connect_src(policy) == "connect-src 'self' wss://ws.example.com:444"


def test_nothing_else_may_be_loaded_or_done() -> None:
    policy = content_security_policy(None, 8081)(b"x").decode()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy

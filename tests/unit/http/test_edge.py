import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.address import Proxies
from core.clock import SystemClock, new_id
from core.http.cors import Cors
from core.http.edge import MAX_HEAD, Edge, Rules, content_security_policy
from core.http.permissions import Authority
from core.http.problems import Overdue
from core.http.rate import RateLimiter
from services.audit import CONTEXT
from services.tokens import Tokens

TOKENS = Tokens("nb0Rk2mTq9vX5zL8sW4yC7hJ1pD6fGaE", SystemClock(), 600, 600)


def rules(**changes: Any) -> Rules:
    facts: dict[str, Any] = {
        "policy": content_security_policy(None, 8081),
        "authority": Authority(TOKENS, lambda principal: None, SystemClock()),
        "proxies": Proxies([]),
        "cors": Cors([]),
        "limiter": None,
        "timeout": 10.0,
        "https": False,
    }
    return Rules(**{**facts, **changes})


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
    await edge(
        {"type": "http", "method": method, "path": path, "headers": pairs, "client": ("192.0.2.1", 4711)},
        None,
        send,
    )
    return (
        sent[0]["status"],
        {name.decode(): value.decode() for name, value in sent[0]["headers"]},
        sent[1]["body"],
    )


@pytest.fixture
def edge() -> Edge:
    return Edge(answering(b"api "), answering(b"page "), rules())


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
    plain = Edge(answering(b""), answering(b""), rules())
    assert (await call(plain, "/api/v1/me"))[1]["cache-control"] == "no-store"
    assert "cache-control" not in (await call(plain, "/"))[1]
    told = Edge(answering(b"", (b"Cache-Control", b"max-age=1")), answering(b""), rules())
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
    edge = Edge(failing, failing, rules())
    with capture_logs() as logs:
        status, headers, body = await call(edge, "/", x_request_id="proxy-0123456789")
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert b"proxy-0123456789" in body
    assert b"secret" not in body
    assert [line["event"] for line in logs] == ["unexpected error", "request"]


async def test_an_answer_that_breaks_off_is_not_finished_with_another() -> None:
    edge = Edge(breaking_off, breaking_off, rules())
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        await call(edge, "/")
    assert [line["event"] for line in logs] == ["unexpected error while answering", "request"]


async def test_headers_beyond_the_limit_are_refused(edge: Edge) -> None:
    assert (await call(edge, "/", x="y" * (MAX_HEAD - 100)))[0] == 200
    status, _, body = await call(edge, "/", x="y" * MAX_HEAD)
    assert status == 431
    assert b"headers_too_large" in body


async def test_what_happens_is_counted() -> None:
    edge = Edge(answering(b""), failing, rules())
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


async def test_an_answer_of_the_api_is_no_document(edge: Edge) -> None:
    _, api, _ = await call(edge, "/api/v1/me")
    assert api["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert api["x-content-type-options"] == "nosniff"


async def test_only_behind_https_browsers_are_told_to_stay_there() -> None:
    plain, safe = (Edge(answering(b""), answering(b""), rules(https=https)) for https in (False, True))
    assert "strict-transport-security" not in (await call(plain, "/"))[1]
    for path in ("/", "/api/v1/me"):
        assert "max-age=" in (await call(safe, path))[1]["strict-transport-security"]


async def test_what_takes_too_long_is_given_up() -> None:
    gone = asyncio.Event()

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    edge = Edge(hanging, hanging, rules(timeout=0.01))
    status, headers, body = await call(edge, "/api/v1/me")
    assert (status, headers["retry-after"]) == (503, "2")
    assert b'"code":"timeout"' in body
    assert gone.is_set()
    assert asyncio.current_task().cancelling() == 0


async def test_who_cancels_a_request_for_other_reasons_gets_no_answer() -> None:
    begun = asyncio.Event()

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(Edge(hanging, hanging, rules()), "/api/v1/me"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_time_that_ran_out_after_the_answer_began_ends_the_connection() -> None:
    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    with capture_logs(), pytest.raises(Overdue):
        await call(Edge(stuck, stuck, rules(timeout=0.01)), "/api/v1/me")


async def test_a_stranger_is_limited_by_address_and_told_so() -> None:
    edge = Edge(answering(b""), answering(b""), rules(limiter=RateLimiter(1, 2)))
    told = [await call(edge, "/api/v1/me") for _ in range(3)]
    assert [status for status, _, _ in told] == [200, 200, 429]
    assert [headers["ratelimit"] for _, headers, _ in told] == [
        '"default";r=1;t=1',
        '"default";r=0;t=2',
        '"default";r=0;t=2',
    ]
    assert {headers["ratelimit-policy"] for _, headers, _ in told} == {'"default";q=2;w=2'}
    assert told[2][1]["retry-after"] == "1"
    assert b"too_many_requests" in told[2][2]
    assert edge.metrics()["http_rate_limited_total"] == 1


async def test_a_person_is_limited_as_a_person_wherever_they_are() -> None:
    edge = Edge(answering(b""), answering(b""), rules(limiter=RateLimiter(1, 1)))
    ada, bob = (TOKENS.for_user(new_id(), new_id(), "user")[0] for _ in range(2))
    assert (await call(edge, "/api/v1/me", authorization=f"Bearer {ada}"))[0] == 200
    assert (await call(edge, "/api/v1/me", authorization=f"Bearer {bob}"))[0] == 200
    assert (await call(edge, "/api/v1/me"))[0] == 200
    assert (await call(edge, "/api/v1/me", authorization=f"Bearer {ada}"))[0] == 429
    # A made-up token makes nobody of a stranger.
    assert (await call(edge, "/api/v1/me", authorization="Bearer made-up"))[0] == 429


async def test_the_page_and_the_operations_are_not_limited() -> None:
    edge = Edge(answering(b""), answering(b""), rules(limiter=RateLimiter(1, 1)))
    for path in ("/healthz", "/", "/metrics"):
        for _ in range(3):
            status, headers, _ = await call(edge, path)
            assert (status, "ratelimit" in headers) == (200, False)


async def test_a_browser_that_asks_first_is_answered_before_anything_else() -> None:
    edge = Edge(failing, failing, rules(cors=Cors(["https://x.example"]), limiter=RateLimiter(1, 1)))
    for _ in range(3):
        status, headers, body = await call(
            edge, "/api/v1/me", "OPTIONS", origin="https://x.example", access_control_request_method="GET"
        )
        assert (status, body) == (204, b"")
        assert headers["access-control-allow-origin"] == "https://x.example"
    assert "access-control-allow-origin" not in (await call(edge, "/", origin="https://x.example"))[1]


async def test_what_is_noted_meanwhile_says_from_where() -> None:
    seen = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        seen.append(CONTEXT.get())
        await answering(b"")(scope, receive, send)

    edge = Edge(noting, noting, rules(proxies=Proxies(["192.0.2.1"])))
    await call(edge, "/api/v1/me", x_forwarded_for="203.0.113.9", x_request_id="proxy-0123456789")
    assert (seen[0].address, seen[0].request_id) == ("203.0.113.9", "proxy-0123456789")
    assert CONTEXT.get().address == ""


@pytest.mark.parametrize("name", ["host", "authorization", "content-type", "idempotency-key", "x-request-id"])
async def test_what_must_be_single_and_is_not_is_refused(edge: Edge, name: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), b"one"), (name.encode(), b"two"), (b"x", b"1"), (b"x", b"2")]
    scope: Any = {"type": "http", "method": "GET", "path": "/api/v1/me", "headers": pairs}
    await edge(scope, None, send)
    assert sent[0]["status"] == 400
    await edge({**scope, "headers": pairs[1:]}, None, send)
    assert sent[2]["status"] == 200


async def test_request_ids_are_all_different(edge: Edge) -> None:
    ids = {(await call(edge, "/"))[1]["x-request-id"] for _ in range(100)}
    assert len(ids) == 100

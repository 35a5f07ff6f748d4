"""The outermost layer of every request: its id, log line, counters and security headers."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from litestar.types import HTTPScope, Message, Receive, Send

from core.http.problems import protocol_error, render
from core.logs import get_logger
from core.metrics import Metrics

API_PREFIX = "/api/"
OPERATIONS = frozenset({"/healthz", "/readyz", "/metrics", "/metrics.json"})
# Bytes of a request's line and headers together (nginx: 32 KiB).
MAX_HEAD = 32 * 1024
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")

_FIXED_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]

HttpApp = Callable[[HTTPScope, Receive, Send], Awaitable[None]]

log = get_logger("http")


class Edge:
    """An ASGI application that puts `api` and `page` behind one address.

    Everything under ``/api`` and the operations at the root go to `api`, the rest to `page`.
    Errors that either lets out become problems here.
    """

    def __init__(self, api: HttpApp, page: HttpApp, policy: Callable[[bytes], bytes]) -> None:
        """`policy` gives the content security policy for a Host header."""
        self._api = api
        self._page = page
        self._policy = policy
        self._in_flight = 0
        self._seconds = 0.0
        self._responses = {f"http_responses_{group}xx_total": 0 for group in range(1, 6)}

    def metrics(self) -> Metrics:
        """Requests in flight, seconds spent, and responses by the first digit of their status."""
        return {
            "http_requests_in_flight": self._in_flight,
            "http_requests_total": sum(self._responses.values()),
            "http_request_seconds_total": self._seconds,
            **self._responses,
        }

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI)."""
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID.match(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        method, path = scope["method"], scope["path"]
        is_api = f"{path}/".startswith(API_PREFIX) or path.rstrip("/") in OPERATIONS
        added = [
            (b"x-request-id", request_id.encode()),
            (b"content-security-policy", self._policy(headers.get(b"host", b""))),
            *_FIXED_HEADERS,
        ]
        status = 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = list(message.get("headers", ()))
                if is_api and not any(name.lower() == b"cache-control" for name, _ in own):
                    own.append((b"cache-control", b"no-store"))
                message["headers"] = [*own, *added]
            await send(message)

        started = time.perf_counter()
        self._in_flight += 1
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(is_api, scope, receive, send_framed)
            except Exception as error:
                if status:
                    log.error("unexpected error while answering", exc_info=error)
                    raise
                problem = render(error, request_id)
                await send_framed(_start(problem.status, problem.headers, problem.body))
                await send_framed({"type": "http.response.body", "body": problem.body, "more_body": False})
            finally:
                elapsed = time.perf_counter() - started
                self._in_flight -= 1
                self._seconds += elapsed
                self._responses[f"http_responses_{status // 100 or 5}xx_total"] += 1
                write = log.debug if path in OPERATIONS else log.info
                write("request", method=method, path=path, status=status, ms=round(elapsed * 1000, 1))

    async def _answer(self, is_api: bool, scope: HTTPScope, receive: Receive, send: Send) -> None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
            raise protocol_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        # The server leaves the body out of an answer to HEAD.
        inner: Any = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await (self._api if is_api else self._page)(inner, receive, send)


def _start(status: int, headers: dict[str, str], body: bytes) -> Message:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    return {"type": "http.response.start", "status": status, "headers": pairs}


def content_security_policy(ws_url: str | None, ws_port: int) -> Callable[[bytes], bytes]:
    """The policy of the page by Host header: our own files, and the WebSocket workers to connect to.

    Without `ws_url` the workers are at the page's own host, at `ws_port`.
    """

    def policy(host: bytes) -> bytes:
        if ws_url:
            targets = ws_url.partition("://")[0] + "://" + ws_url.partition("://")[2].partition("/")[0]
        else:
            named = _HOST.match(host)
            # A policy has no way to write an IPv6 address.
            name = named[1].decode() if named else "*"
            targets = f"ws://{name}:{ws_port} wss://{name}:{ws_port}"
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"font-src 'self'; connect-src 'self' {targets}; base-uri 'none'; frame-ancestors 'none'; "
            "form-action 'self'; manifest-src 'self'; worker-src 'self'"
        ).encode()

    return policy


_HOST = re.compile(rb"([A-Za-z0-9._-]{1,255})(?::\d{1,5})?\Z")

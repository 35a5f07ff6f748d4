"""The outermost layer of every request: who sends it, how often, how long; its log line and headers."""

import asyncio
import itertools
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from litestar.types import HTTPScope, Message, Receive, Send
from msgspec import Struct

from core.address import Proxies, subscriber
from core.http.cors import Cors
from core.http.permissions import CALLER, Authority, Caller
from core.http.problems import Overdue, protocol_error, render
from core.http.rate import RateLimiter, refusal
from core.logs import REQUEST_ID, get_logger
from core.metrics import Metrics
from services.audit import CONTEXT, AuditContext
from services.tokens import Principal

API_PREFIX = "/api/"
OPERATIONS = frozenset({"/healthz", "/readyz", "/metrics", "/metrics.json"})
# Bytes of a request's line and headers together (nginx: 32 KiB).
MAX_HEAD = 32 * 1024
REQUEST_ID_FORM = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")
# What RFC 3986 §3.2 allows of a host and port.
HOST_FORM = re.compile(rb"[0-9A-Za-z!$&'()*+,;=\-._~:\[\]%]*\Z")
# Two of them would mean two things to two readers.
SINGLE = frozenset(
    {b"host", b"authorization", b"content-type", b"origin", b"idempotency-key", b"if-match", b"x-request-id"}
)
# What the API answers is data: no browser shall make a document of it.
API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
CACHE_CONTROL = frozenset({b"cache-control", b"Cache-Control"})
NO_STORE = (b"cache-control", b"no-store")
HSTS = (b"strict-transport-security", b"max-age=31536000")

_FIXED_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# What governs documents says nothing to data.
_PAGE_HEADERS = [
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]

HttpApp = Callable[[HTTPScope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

log = get_logger("http")


class Rules(Struct, frozen=True, kw_only=True):
    """What the edge goes by.

    `policy` gives the page's content security policy for a Host header; `timeout` is in seconds; without
    `limiter` a caller may send as much as they like; `https` is whether people come by it.
    """

    policy: Callable[[bytes], bytes]
    authority: Authority
    proxies: Proxies
    cors: Cors
    limiter: RateLimiter | None
    timeout: float
    https: bool


class Edge:
    """An ASGI application that puts `api` and `page` behind one address.

    Everything under ``/api`` and the operations at the root go to `api`, the rest to `page`.
    Errors that either lets out become problems here.
    """

    def __init__(
        self,
        api: HttpApp,
        page: HttpApp,
        rules: Rules,
        finish: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`finish` waits for what `api` goes on with after it has answered."""
        self._api = api
        self._page = page
        self._rules = rules
        self._finish = finish
        fixed = [*_FIXED_HEADERS, *([HSTS] if rules.https else [])]
        self._api_headers = [API_POLICY, *fixed]
        self._page_headers = [*_PAGE_HEADERS, *fixed]
        self._ids = os.urandom(10).hex()
        self._count = itertools.count(1)
        self._in_flight = 0
        self._seconds = 0.0
        self._responses = dict.fromkeys(range(1, 6), 0)

    async def finish(self) -> None:
        """Wait for what was begun and goes on although its request is over; called last."""
        if self._finish is not None:
            await self._finish()

    def metrics(self) -> Metrics:
        """Requests in flight, seconds spent, and responses by the first digit of their status."""
        limiter = self._rules.limiter
        return {
            "http_requests_in_flight": self._in_flight,
            "http_requests_total": sum(self._responses.values()),
            "http_request_seconds_total": self._seconds,
            "http_callers": len(limiter) if limiter else 0,
            "http_rate_limited_total": limiter.refused if limiter else 0,
            **{f"http_responses_{group}xx_total": count for group, count in self._responses.items()},
        }

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI)."""
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if REQUEST_ID_FORM.match(given) else self._next_id()
        scope.setdefault("state", {})["request_id"] = request_id
        path = scope["path"]
        is_api = path.startswith(API_PREFIX) or f"{path}/" == API_PREFIX or path.rstrip("/") in OPERATIONS
        added = [(b"x-request-id", request_id.encode())]
        if is_api:
            added += self._api_headers
        else:
            added += (self._page_policy(headers), *self._page_headers)
        status = 0

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message["headers"] = [*message.get("headers", ()), *added]
                if is_api and not _governs_caches(own):
                    own.append(NO_STORE)
            await send(message)

        started = time.perf_counter()
        self._in_flight += 1
        logged = REQUEST_ID.set(request_id)
        noted = CONTEXT.set(AuditContext(self._address(scope, headers), request_id))
        try:
            with _Deadline(self._rules.timeout):
                if is_api:
                    await self._answer_api(scope, headers, added, receive, send_framed)
                else:
                    await self._answer(self._page, scope, headers, receive, send_framed)
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
            self._responses[status // 100 or 5] += 1
            write = log.debug if path in OPERATIONS else log.info
            write("request", method=scope["method"], path=path, status=status, ms=round(elapsed * 1000, 1))
            CONTEXT.reset(noted)
            REQUEST_ID.reset(logged)

    def _next_id(self) -> str:
        # Unlike any other process's, and without asking the kernel for chance each time.
        return f"{self._ids}{next(self._count):012x}"

    def _page_policy(self, headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
        return b"content-security-policy", self._rules.policy(headers.get(b"host", b""))

    async def _answer_api(
        self, scope: HTTPScope, headers: Mapping[bytes, bytes], added: Headers, receive: Receive, send: Send
    ) -> None:
        rules = self._rules
        added += rules.cors.headers(headers)
        preflight = rules.cors.preflight(scope["method"], headers)
        if preflight is not None:
            await send(_start(204, {}, None, preflight))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        found = scope["state"][CALLER] = rules.authority.identify(headers)
        if rules.limiter is not None and scope["path"] not in OPERATIONS:
            verdict = rules.limiter.hit(_payer(found), time.monotonic())
            added += rules.limiter.headers(verdict)
            if not verdict.allowed:
                raise refusal(verdict)
        await self._answer(self._api, scope, headers, receive, send)

    async def _answer(
        self,
        app: HttpApp,
        scope: HTTPScope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
    ) -> None:
        pairs: Any = scope["headers"]
        if sum(len(name) + len(value) for name, value in pairs) > MAX_HEAD:
            raise protocol_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if _ambiguous(headers, pairs):
            raise protocol_error(HTTPStatus.BAD_REQUEST)
        # The server leaves the body out of an answer to HEAD.
        inner: Any = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        await app(inner, receive, send)

    def _address(self, scope: HTTPScope, headers: Mapping[bytes, bytes]) -> str:
        client = scope.get("client")
        forwarded: list[str] = []
        if b"x-forwarded-for" in headers:
            forwarded = [
                value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"
            ]
        return self._rules.proxies.client(client[0] if client else "", forwarded)


class _Deadline:
    """`asyncio.timeout` for the one thing it is needed for here, at a third of its cost.

    The block is cancelled when the time is up, which becomes `Overdue`; any other cancellation passes.
    """

    __slots__ = ("_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._pass)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._timer.cancel()
        if (
            self._passed
            and self._task is not None
            and not self._task.uncancel()
            and kind is asyncio.CancelledError
        ):
            raise Overdue

    def _pass(self) -> None:
        self._passed = True
        if self._task is not None:
            self._task.cancel()


def _payer(caller: Caller) -> object:
    """Whose requests are counted together: a node's, a person's, or a stranger's address."""
    if isinstance(caller, Principal):
        return caller.node_id or caller.user_id
    return subscriber(CONTEXT.get().address)


def _governs_caches(headers: Headers) -> bool:
    for name, _ in headers:  # noqa: SIM110 - a generator would take longer than the loop
        if name in CACHE_CONTROL:
            return True
    return False


def _ambiguous(by_name: Mapping[bytes, bytes], headers: Headers) -> bool:
    """Whether a header that must be single comes twice, or the host is none."""
    if not HOST_FORM.match(by_name.get(b"host", b"")):
        return True
    if len(by_name) == len(headers):
        return False
    names = [name for name, _ in headers if name in SINGLE]
    return len(names) != len(set(names))


def _start(
    status: int, headers: Mapping[str, str], body: bytes | None, more: Headers | None = None
) -> Message:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    if body is not None:
        pairs.append((b"content-length", str(len(body)).encode()))
    return {"type": "http.response.start", "status": status, "headers": [*pairs, *(more or ())]}


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

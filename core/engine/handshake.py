"""The upgrade request: what is refused before a WebSocket exists, and why.

picows parses the request and makes the key's answer; everything it does not check is checked here:
one Host, no repeated header that must be single, version 13, our subprotocol, the page's origin,
room for one more. Also answers the load balancer's ``/healthz`` and ``/readyz``.
"""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from multidict import CIMultiDict

# Not in its published types, but whole functions; the version is pinned exactly.
from picows.picows import _parse_http_request, _validate_upgrade_request  # type: ignore[attr-defined]

from core.config import Config
from core.engine import deflate
from core.logs import get_logger
from core.messages import BEARER_PREFIX, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL

SUBPROTOCOLS = (MSGPACK_SUBPROTOCOL, JSON_SUBPROTOCOL)
SINGLE_HEADERS = ("host", "origin", "authorization", "sec-websocket-key", "sec-websocket-version")

log = get_logger("engine.handshake")


class Accepted(Struct, frozen=True, kw_only=True):
    """An upgrade request that is let in: the answer's bytes, and what was agreed to.

    `window` is the logarithm of the compression window, 0 for no compression.
    """

    answer: bytes
    binary: bool = False
    window: int = 0
    token: str | None = None


class Refused(Exception):
    """The request is answered with `status` and a problem instead of an upgrade."""

    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Doorman:
    """Judges HTTP requests.

    `refusal` tells why nobody can be let in right now, or None; `ready` whether the worker wants new
    connections from a load balancer. With `echo` the one address is /echo, for whoever comes.
    """

    def __init__(
        self,
        config: Config,
        refusal: Callable[[], Refused | None],
        ready: Callable[[], bool],
        *,
        echo: bool = False,
    ) -> None:
        self._refusal = refusal
        self._ready = ready
        self._page_port = config.http.port
        self._compresses = config.ws.compress_above >= 0
        self._echo = echo
        self._path = b"/echo" if echo else b"/ws"
        self._origins = {origin.rstrip("/").lower() for origin in config.ws.allowed_origins}
        if not self._origins and config.http.public_url:
            url = urlsplit(config.http.public_url)
            self._origins = {f"{url.scheme}://{url.netloc}".lower()}
        self.refused: dict[str, int] = {}

    def judge(self, head: bytes) -> Accepted | bytes:
        """What a request with this line and headers agreed to, or the bytes that answer it."""
        try:
            return self._judge(head)
        except Refused as refused:
            return self.refuse(refused)

    def refuse(self, refused: Refused) -> bytes:
        """The answer that says so, a problem (RFC 9457); counted."""
        self.refused[refused.code] = self.refused.get(refused.code, 0) + 1
        body = msgspec.json.encode(
            {
                "type": "about:blank",
                "title": HTTPStatus(refused.status).phrase,
                "status": refused.status,
                "code": refused.code,
                "detail": refused.detail,
            }
        )
        return _response(refused.status, "application/problem+json", body, refused.headers)

    def _judge(self, head: bytes) -> Accepted | bytes:
        try:
            request = _parse_http_request(head)
        except (RuntimeError, ValueError) as error:
            raise Refused(400, "bad_request", f"This is no request that is served here: {error}.") from error
        path = request.path.partition(b"?")[0]
        if path == b"/healthz":
            return _response(200, "text/plain; charset=utf-8", b"ok", {})
        if path == b"/readyz":
            if not self._ready():
                raise Refused(503, "not_ready", "The worker takes no new connections now.")
            return _response(200, "text/plain; charset=utf-8", b"ready", {})
        if path != self._path:
            raise Refused(404, "not_found", f"WebSockets live at {self._path.decode()}.")
        refused = self._refusal()
        if refused is not None:
            raise refused
        headers = request.headers
        self._check_upgrade(headers)
        agreed = deflate.agree(headers.getall(deflate.HEADER, [])) if self._compresses else None
        lines = {deflate.HEADER: agreed.answer} if agreed else {}
        window = agreed.window if agreed else 0
        binary, token = False, None
        if not self._echo:
            self._check_origin(headers)
            subprotocol, token = self._choose(headers)
            lines["Sec-WebSocket-Protocol"] = subprotocol
            binary = subprotocol == MSGPACK_SUBPROTOCOL
        try:
            lines["Sec-WebSocket-Accept"] = _validate_upgrade_request(request).decode()
        except RuntimeError as error:
            raise Refused(400, "bad_handshake", f"{error}.") from error
        answer = _head(101, {"Upgrade": "websocket", "Connection": "Upgrade", **lines})
        return Accepted(answer=answer, binary=binary, window=window, token=token)

    def _choose(self, headers: "CIMultiDict[str]") -> tuple[str, str | None]:
        """The subprotocol to speak, and the token that came with the request."""
        offered = [
            item.strip() for line in headers.getall("sec-websocket-protocol", []) for item in line.split(",")
        ]
        subprotocol = next((name for name in offered if name in SUBPROTOCOLS), None)
        if subprotocol is None:
            raise Refused(400, "subprotocol_required", f"Offer one of: {', '.join(SUBPROTOCOLS)}.")
        return subprotocol, _find_token(headers, offered)

    def _check_upgrade(self, headers: "CIMultiDict[str]") -> None:
        for name in SINGLE_HEADERS:
            if len(headers.getall(name, [])) > 1:
                raise Refused(400, "duplicate_header", f"The header {name} must not be repeated.")
        if not headers.get("host"):
            raise Refused(400, "host_required", "The header Host is missing.")
        if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
            raise Refused(426, "upgrade_required", "This address speaks WebSocket only.", Upgrade="websocket")
        if headers.get("sec-websocket-version") != "13":
            raise Refused(
                426, "version_unsupported", "Only WebSocket version 13 is spoken.", Sec_WebSocket_Version="13"
            )
        # picows wants the bare words; Firefox sends "keep-alive, Upgrade".
        headers["Connection"] = "upgrade"
        headers["Upgrade"] = "websocket"

    def _check_origin(self, headers: "CIMultiDict[str]") -> None:
        """Browsers name the page's origin: it must be ours. Other clients send none."""
        origin = headers.get("origin")
        if origin is None:
            return
        if self._origins:
            allowed = origin.lower() in self._origins
        else:
            # The page is served from the same host on the port of the API.
            page, host = urlsplit(origin), urlsplit(f"//{headers['host']}")
            allowed = page.hostname == host.hostname and _port(page.scheme, origin) == self._page_port
        if not allowed:
            raise Refused(403, "origin_refused", "Pages of this origin may not connect.")


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _response(status: int, kind: str, body: bytes, headers: dict[str, str]) -> bytes:
    fixed = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    return _head(status, {**fixed, **headers}) + body


def _tokens(headers: "CIMultiDict[str]", name: str) -> set[str]:
    return {part.strip().lower() for line in headers.getall(name, []) for part in line.split(",")}


def _port(scheme: str, origin: str) -> int | None:
    try:
        return urlsplit(origin).port or {"http": 80, "https": 443}.get(scheme)
    except ValueError:
        return None


def _find_token(headers: "CIMultiDict[str]", offered: list[str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return next((item[len(BEARER_PREFIX) :] for item in offered if item.startswith(BEARER_PREFIX)), None)

"""The upgrade request: what is refused before a WebSocket exists, and why.

picows parses the request and makes the key's answer; everything it does not check is checked here:
one Host, no repeated header that must be single, version 13, our subprotocol, the page's origin,
room for one more. Also answers the load balancer's ``/healthz`` and ``/readyz``.
"""

import binascii
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct
from multidict import CIMultiDict

# Not in its published types, but whole functions; the version is pinned exactly.
from picows.picows import _parse_http_request, _validate_upgrade_request  # type: ignore[attr-defined]

from core.config import Config
from core.engine import deflate
from core.logs import get_logger
from core.messages import BEARER_PREFIX, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from ext.request import Cutter

SUBPROTOCOLS = (MSGPACK_SUBPROTOCOL, JSON_SUBPROTOCOL)
# RFC 9110 §7.2 and RFC 3986 §3.2.2: a name, an IPv4 address or one of IPv6 in brackets, and a port.
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::(\d{0,5}))?", re.ASCII)
MAX_PORT = 65535
SINGLE_HEADERS = ("host", "origin", "authorization", "sec-websocket-key", "sec-websocket-version")
# The first three matter and may be any; the others are not looked at, and differ from client to client.
CUT = (
    "Sec-WebSocket-Key",
    "Authorization",
    "X-Forwarded-For",
    "Cookie",
    "User-Agent",
    "X-Real-IP",
    "X-Request-ID",
)
KEY_BYTES = 16
# RFC 6455 §1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Kinds of clients whose requests are remembered.
MAX_KNOWN = 1000

log = get_logger("engine.handshake")


class Accepted(Struct, frozen=True, kw_only=True):
    """An upgrade request that is let in: the answer's bytes, and what was agreed to.

    `window` is the logarithm of the compression window, 0 for no compression; `forwarded` are the
    values of X-Forwarded-For, in order.
    """

    answer: bytes
    binary: bool = False
    window: int = 0
    token: str | None = None
    forwarded: tuple[str, ...] = ()


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

    Clients of one kind send the same request but for a few values. The judgement on the first of
    them is remembered and holds for all that follow.
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
        self._cutter = Cutter(*CUT)
        # By what is left of a request: the answer up to the key's, and the rest of it but the token.
        self._known: dict[bytes, tuple[bytes, Accepted]] = {}
        self.refused: dict[str, int] = {}

    def judge(self, head: bytes) -> Accepted | bytes:
        """What a request with this line and headers agreed to, or the bytes that answer it."""
        cut = self._cutter.cut(head)
        try:
            if cut is not None and (accepted := self._recognise(*cut)) is not None:
                return accepted
            verdict = self._judge(head)
        except Refused as refused:
            return self.refuse(refused)
        if cut is not None and isinstance(verdict, Accepted):
            self._remember(cut[0], verdict)
        return verdict

    def _recognise(self, left: bytes, values: list[bytes | None]) -> Accepted | None:
        """The judgement on a request of a known kind with a sound key, else None."""
        known = self._known.get(left)
        key, authorization, forwarded, *_ = values
        if known is None or key is None:
            return None
        try:
            if len(binascii.a2b_base64(key, strict_mode=True)) != KEY_BYTES:
                return None
        except binascii.Error:
            return None
        refused = self._refusal()
        if refused is not None:
            raise refused
        beginning, accepted = known
        return Accepted(
            answer=b"%b%b\r\n\r\n" % (beginning, b64encode(sha1(key + GUID, usedforsecurity=False).digest())),
            binary=accepted.binary,
            window=accepted.window,
            token=_bearer(authorization.decode()) if authorization else None,
            forwarded=(forwarded.decode("latin-1"),) if forwarded else (),
        )

    def _remember(self, left: bytes, accepted: Accepted) -> None:
        # A token among the subprotocols is one client's own, and nothing to keep.
        if BEARER_PREFIX.encode() in left:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        beginning = accepted.answer[: accepted.answer.rindex(b" ") + 1]
        self._known[left] = beginning, msgspec.structs.replace(accepted, token=None, forwarded=())

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
            # Its text quotes the request, tokens included.
            raise Refused(
                400,
                "bad_request",
                "Only well-formed GET requests of HTTP/1.1 without a body are served.",
            ) from error
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
            raise Refused(
                400, "bad_handshake", "The header Sec-WebSocket-Key must hold 16 bytes in base64."
            ) from error
        answer = _head(101, {"Upgrade": "websocket", "Connection": "Upgrade", **lines})
        forwarded = tuple(headers.getall("x-forwarded-for", []))
        return Accepted(answer=answer, binary=binary, window=window, token=token, forwarded=forwarded)

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
        host = headers.get("host")
        if not host:
            raise Refused(400, "host_required", "The header Host is missing.")
        if not _is_host(host):
            raise Refused(400, "bad_host", "The header Host does not name a host.")
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
            page, host = _split(origin), _split(f"//{headers['host']}")
            allowed = (
                page is not None
                and host is not None
                and page.hostname == host.hostname
                and _port(page) == self._page_port
            )
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


def _is_host(value: str) -> bool:
    found = HOST.fullmatch(value)
    return found is not None and int(found[1] or 0) <= MAX_PORT


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _port(url: SplitResult) -> int | None:
    try:
        return url.port or {"http": 80, "https": 443}.get(url.scheme)
    except ValueError:
        return None


def _find_token(headers: "CIMultiDict[str]", offered: list[str]) -> str | None:
    token = _bearer(headers.get("authorization", ""))
    if token is not None:
        return token
    return next((item[len(BEARER_PREFIX) :] for item in offered if item.startswith(BEARER_PREFIX)), None)


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None

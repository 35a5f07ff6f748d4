"""The upgrade request: what is refused before a WebSocket exists, and why.

picows parses the request and answers it; everything it does not check is checked here: one Host,
no repeated header that must be single, version 13, our subprotocol, the page's origin, room for one
more. Also answers the load balancer's ``/healthz`` and ``/readyz``.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from multidict import CIMultiDict
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its published types

from core.config import Config
from core.engine import deflate
from core.logs import get_logger
from core.messages import BEARER_PREFIX, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from ext.listener import Listener

SUBPROTOCOLS = (MSGPACK_SUBPROTOCOL, JSON_SUBPROTOCOL)
SINGLE_HEADERS = ("host", "origin", "authorization", "sec-websocket-key", "sec-websocket-version")
MAX_HEADER_BYTES = 16 * 1024
# What is read and forgotten of a request that was refused for its length.
MAX_DISCARDED = 4 * 1024 * 1024

log = get_logger("engine.handshake")


class Accepted(Struct, frozen=True, kw_only=True):
    """What an upgrade request that is let in agreed to.

    `window` is the logarithm of the compression window, 0 for no compression.
    """

    binary: bool = False
    window: int = 0
    echo: bool = False
    token: str | None = None


MakeListener = Callable[[Accepted], Listener]


class Refused(Exception):
    """The request is answered with `status` and a problem instead of an upgrade."""

    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Doorman:
    """Judges upgrade requests; picows calls it for each.

    `refusal` tells why nobody can be let in right now, or None; `ready` whether the worker wants new
    connections from a load balancer. With `echo` the one address is /echo, for whoever comes.
    """

    def __init__(
        self,
        config: Config,
        make_listener: MakeListener,
        refusal: Callable[[], Refused | None],
        ready: Callable[[], bool],
        *,
        echo: bool = False,
    ) -> None:
        self._make_listener = make_listener
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

    def __call__(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        """Answer one request; never raises, for picows would send an exception's text to the peer."""
        try:
            return self._answer(request)
        except Refused as refused:
            return self.answer(refused)
        except Exception:
            log.exception("handshake failed")
            return self.answer(Refused(500, "internal", "The server failed to answer."))

    def _answer(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        path = request.path.partition(b"?")[0]
        if path == b"/healthz":
            return _plain("ok")
        if path == b"/readyz":
            if not self._ready():
                raise Refused(503, "not_ready", "The worker takes no new connections now.")
            return _plain("ready")
        if path != self._path:
            raise Refused(404, "not_found", f"WebSockets live at {self._path.decode()}.")
        refused = self._refusal()
        if refused is not None:
            raise refused
        headers = request.headers
        self._check_upgrade(headers)
        agreed = deflate.agree(headers.getall(deflate.HEADER, [])) if self._compresses else None
        answer = {deflate.HEADER: agreed.answer} if agreed else {}
        window = agreed.window if agreed else 0
        if self._echo:
            accepted = Accepted(window=window, echo=True)
        else:
            self._check_origin(headers)
            subprotocol, token = self._choose(headers)
            answer["Sec-WebSocket-Protocol"] = subprotocol
            accepted = Accepted(binary=subprotocol == MSGPACK_SUBPROTOCOL, window=window, token=token)
        response = WSUpgradeResponse.create_101_response(answer)
        return WSUpgradeResponseWithListener(response, self._make_listener(accepted))

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

    def answer(self, refused: Refused) -> WSUpgradeResponseWithListener:
        """The response that says so; counted."""
        self.refused[refused.code] = self.refused.get(refused.code, 0) + 1
        body = problem_body(refused)
        headers = {"Content-Type": "application/problem+json", **refused.headers}
        return WSUpgradeResponseWithListener(
            WSUpgradeResponse.create_error_response(refused.status, body, headers), None
        )


def problem_body(refused: Refused) -> bytes:
    """The refusal as a problem (RFC 9457)."""
    return msgspec.json.encode(
        {"type": "about:blank", "status": refused.status, "code": refused.code, "detail": refused.detail}
    )


def _plain(text: str) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(text.encode()), None)


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


class _Quiet:
    """Takes the place of picows' loggers, which would keep one per connection and a line per event."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the standard library's name
        return False

    def _ignore(self, *args: Any, **kwargs: Any) -> None:
        pass

    log = debug = info = warning = error = _ignore

    def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.exception("picows failed", message=message % args if args else message)


QUIET = _Quiet()


class Handshake(WSProtocol):  # type: ignore[misc]  # for the same reason
    """picows' side of one connection, up to the upgrade.

    Adds an answer to requests whose header is too long, which picows drops without a word.
    """

    def __init__(self, doorman: Doorman, timeout: float) -> None:
        super().__init__(
            None, None, False, doorman, QUIET, True, timeout, False, 20, 20, 1, False, 1024, None, 2048
        )
        self._doorman = doorman
        self._read = 0
        self._too_long = False

    def buffer_updated(self, size: int) -> None:
        """Count the request's bytes on their way to picows."""
        self._read += size
        if self.listener is None and self._read >= MAX_HEADER_BYTES:
            self._refuse_long_header()
        else:
            super().buffer_updated(size)

    def _refuse_long_header(self) -> None:
        # What still comes is read into the same place and forgotten, until the peer has seen the
        # answer or the handshake's time-out ends it: closing at once would reset the answer away.
        transport = self.transport.underlying_transport
        if transport.is_closing() or not transport.can_write_eof() or self._read > MAX_DISCARDED:
            transport.abort()
        elif not self._too_long:
            self._too_long = True
            refused = Refused(431, "header_too_long", "The request header is too long.")
            transport.write(self._doorman.answer(refused).response.to_bytes())
            transport.write_eof()

"""Upgrade requests that must not be let in, and some unusual ones that must."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from support.attack import UNANSWERED, Attack, Target
from support.websocket import KEY, Socket

# RFC 9112 lets a server limit the request's line and headers; ours ends at 16 KiB.
MAX_HEAD = 16 << 10


@dataclass(frozen=True)
class BadRequest(Attack):
    """A request, described by how it differs from a good one (see `upgrade_request`)."""

    # The same doorman stands there.
    on_echo: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    async def prepare(self, target: Target) -> Socket:
        """Only connect."""
        return await target.connect()

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the answer's status."""
        try:
            await socket.request(self.data(target))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return UNANSWERED
        return socket.status

    def data(self, target: Target) -> bytes:
        """The bytes that are sent."""
        return target.request(**self.changes)


@dataclass(frozen=True)
class RawRequest(BadRequest):
    """Bytes that are no upgrade request at all."""

    raw: bytes = b""

    def data(self, target: Target) -> bytes:
        """The bytes that are sent."""
        return self.raw


@dataclass(frozen=True)
class LongRequest(BadRequest):
    """A request whose line and headers have `size` bytes, without the empty line."""

    size: int = 0

    def data(self, target: Target) -> bytes:
        """The bytes that are sent."""
        bare = target.request(extra=[("X-Filler", "")])
        return target.request(extra=[("X-Filler", "x" * (self.size - len(bare) + 4))])


def _with(name: str, value: str | None) -> dict[str, Any]:
    return {"replace": {name: value}}


def _and(name: str, value: str) -> dict[str, Any]:
    return {"extra": [(name, value)]}


def _key(size: int) -> str:
    return base64.b64encode(b"k" * size).decode()


_BARE = {"Upgrade": None, "Connection": None, "Sec-WebSocket-Key": None, "Sec-WebSocket-Version": None}
_HOSTS = (
    "",
    "a b",
    "a/ws",
    "a?b",
    "user@a",
    "a#b",
    "[::1",
    "::1",
    "[]",
    "a:http",
    "a:65536",
    "a%b",
    "a:1:2",
    "\xff",
    "a\\b",
)
_VERSIONS = (None, "", "0", "7", "8", "99", "013", "+13", "13, 8", "thirteen")
_KEYS = {
    "no key": None,
    "empty key": "",
    "key of 15 bytes": _key(15),
    "key of 17 bytes": _key(17),
    "key without padding": KEY.rstrip("="),
    "key that is not base64": "!" * 24,
    "key with a space inside": KEY[:12] + " " + KEY[12:],
    "key that is not ASCII": "\xe9" * 24,
}
_EXTRA_LINES = {
    "bare line feed": ("X-Note", "a\nX-Injected: b"),
    "bare carriage return": ("X-Note", "a\rX-Injected: b"),
    "line feed in the subprotocols": ("Sec-WebSocket-Protocol", "chat\nSet-Cookie: a=b"),
    "NUL in a value": ("X-Note", "a\0b"),
    "folded line": ("X-Note", "a\r\n b"),
    "space before the colon": ("X-Note ", "a"),
    "space in a name": ("X Note", "a"),
    "header without a name": ("", "a"),
    "header that is not ASCII": ("X-N\xf6te", "a"),
    "body": ("Content-Length", "5"),
    "negative body": ("Content-Length", "-1"),
    "body in chunks": ("Transfer-Encoding", "chunked"),
}

REQUESTS: list[Attack] = [
    BadRequest("Firefox's Connection header", 101, changes=_with("Connection", "keep-alive, Upgrade")),
    BadRequest(
        "lists and letters as RFC 9110 has them",
        101,
        changes={"replace": {"Connection": "UPGRADE , keep-alive", "Upgrade": "WebSocket"}},
    ),
    *(
        BadRequest(f"Host {host!r}", 101, changes=_with("Host", host))
        for host in ("[::1]:8081", "a.b_c-d:0", "a:", "127.0.0.1")
    ),
    *(BadRequest(f"Host {host!r}", 400, changes=_with("Host", host)) for host in _HOSTS),
    BadRequest("no Host", 400, changes=_with("Host", None)),
    BadRequest("two Hosts", 400, changes=_and("HOST", "b")),
    BadRequest("two keys", 400, changes=_and("sec-websocket-key", KEY)),
    BadRequest("two versions", 400, changes=_and("Sec-WebSocket-Version", "13")),
    BadRequest(
        "two Authorizations",
        400,
        changes={"extra": [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]},
    ),
    *(BadRequest(name, 400, changes=_with("Sec-WebSocket-Key", key)) for name, key in _KEYS.items()),
    *(BadRequest(f"version {v!r}", 426, changes=_with("Sec-WebSocket-Version", v)) for v in _VERSIONS),
    BadRequest("plain GET", 426, changes={"replace": _BARE}),
    BadRequest("upgrade to something else", 426, changes=_with("Upgrade", "h2c")),
    BadRequest("Connection that keeps alive only", 426, changes=_with("Connection", "keep-alive")),
    *(BadRequest(name, 400, changes=_and(*line)) for name, line in _EXTRA_LINES.items()),
    BadRequest("129 headers", 400, changes={"extra": [(f"X-{number}", "") for number in range(129)]}),
    *(
        BadRequest(f"request line {line!r}", 400, changes={"line": line})
        for line in (
            "POST {path} HTTP/1.1",
            "OPTIONS {path} HTTP/1.0",
            "get {path} HTTP/1.1",
            "GET {path} HTTP/1.0",
            "GET {path} HTTP/2.0",
            "GET {path} http/1.1",
            "GET {path}",
            "GET",
            "",
            "GET  {path} HTTP/1.1",
            "GET {path} HTTP/1.1 ",
            "\0\1\2",
        )
    ),
    *(
        BadRequest(f"request line {line!r}", 404, changes={"line": line})
        for line in (
            "GET / HTTP/1.1",
            "GET * HTTP/1.1",
            "GET http://a{path} HTTP/1.1",
            "GET /{path} HTTP/1.1",
            "GET {path}/ HTTP/1.1",
            "GET {path}%20 HTTP/1.1",
            "GET {path}\0 HTTP/1.1",
            "GET {path}\xff HTTP/1.1",
            "GET {path}#a HTTP/1.1",
        )
    ),
    RawRequest("empty lines", 400, raw=b"\r\n\r\n"),
    RawRequest("preface of HTTP/2", 400, raw=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    LongRequest("longest head", 101, size=MAX_HEAD - 1),
    LongRequest("head one byte too long", 431, size=MAX_HEAD),
    LongRequest("head of a megabyte", 431, size=1 << 20),
    *(
        BadRequest(f"Origin {origin!r}", 403, changes=_with("Origin", origin))
        for origin in (
            "null",
            "",
            "http://evil.test",
            "http://[",
            "http://a:99999999",
            "//\xff",
            "http://pulseboard.test:0x1",
        )
    ),
    BadRequest("two Origins", 400, changes={"extra": [("Origin", "http://a"), ("Origin", "http://a")]}),
    BadRequest("broken Host and Origin", 400, changes={"replace": {"Host": "[", "Origin": "http://["}}),
    BadRequest("no subprotocol", 400, changes={"subprotocols": None}),
    BadRequest("unknown subprotocol", 400, changes={"subprotocols": "chat, superchat"}),
]

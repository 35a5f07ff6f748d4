"""Versions of what is read and changed: `ETag`, `If-None-Match` and `If-Match` (RFC 9110 §13)."""

import re
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from litestar import Response
from litestar.types import Receive, Scope, Send

from core.errors import PreconditionFailed
from core.http.requests import ApiRequest

T = TypeVar("T")

# A proxy that compresses makes a tag weak; it names the same version.
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag_of(view: object) -> str:
    """The entity tag of a JSON answer."""
    return tag(msgspec.json.encode(view))


def tag(body: bytes) -> str:
    """The entity tag of these bytes."""
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def tagged(request: ApiRequest, view: T) -> Response[T]:
    """The answer to a GET: `view` with its tag, or 304 if the client has it already."""
    return versioned(request, msgspec.json.encode(view), "application/json", "private, no-cache")


def versioned(request: ApiRequest, body: bytes, media_type: str, cache_control: str) -> Response[Any]:
    """The answer to a GET: `body` with its tag, or 304 if the client has it already."""
    version = tag(body)
    headers = [(b"etag", version.encode()), (b"cache-control", cache_control.encode())]
    condition = _header(request, b"if-none-match")
    if condition is not None and matches(condition, version):
        return Ready(304, headers, b"")
    headers += [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return Ready(200, headers, body)


def check_version(request: ApiRequest, view: object) -> None:
    """See to it that a change is made to the version that the client knows, if it says which.

    `view` is what a GET would answer now.

    Raises:
        PreconditionFailed: "precondition_failed".
    """
    expected = _header(request, b"if-match")
    if expected is not None and not matches(expected, etag_of(view)):
        raise PreconditionFailed("precondition_failed", "It was changed since you read it; read it again.")


def matches(condition: str, version: str) -> bool:
    """Whether a list of entity tags, or ``*``, names `version`."""
    return condition.strip() == "*" or version in _TAG.findall(condition)


def _header(request: ApiRequest, name: bytes) -> str | None:
    found = [value for key, value in request.scope["headers"] if key == name]
    return b",".join(found).decode("latin-1") if found else None


class Ready(Response[Any]):
    """An answer that has its bytes already; Litestar's own takes longer to make than all the rest."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._status = status
        self._headers = headers
        self._body = body

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """What sends it."""
        return self.send

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it (ASGI)."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})

"""Requests: strict JSON bodies and bearer tokens."""

import json
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.types import Receive

from core.errors import InvalidInput, Unauthenticated
from core.http.problems import protocol_error
from services.tokens import Principal


class ApiRequest(Request[None, Principal | None, State]):
    """A request whose JSON body is read as exactly the type that its handler declares.

    Unlike Litestar's own reading nothing is converted ("1" is no number), a key may come once only,
    and every fault is an `InvalidInput` that names the field.
    """

    async def body(self) -> bytes:
        """The raw body.

        Raises:
            HTTPException: 413, or 400 when the client left before it had sent everything.
        """
        try:
            return await super().body()
        except InternalServerException as error:
            raise protocol_error(HTTPStatus.BAD_REQUEST) from error

    async def json(self) -> Any:
        """The body, validated.

        Raises:
            InvalidInput: "invalid_json" or "invalid_input".
            HTTPException: 413 or 415.
        """
        content_type, _ = self.content_type
        if content_type != "application/json":
            raise protocol_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        target = self.route_handler.parsed_data_field
        return decode_body(await self.body(), target.annotation if target else Any)


def decode_body(body: bytes, target: Any) -> Any:
    """`body` as the type `target`.

    Raises:
        InvalidInput: "invalid_json" or "invalid_input".
    """
    try:
        value = _decoder(target).decode(body)
        json.loads(body, object_pairs_hook=_unique)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        place, name = where.strip("`."), _quoted(reason)
        detail = f"{place}: {reason}." if place else f"{reason}."
        field = f"{place}.{name}".strip(".")
        raise InvalidInput("invalid_input", detail, **({"field": field} if field else {})) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        reason = (
            "is not UTF-8"
            if isinstance(error, UnicodeDecodeError)
            else str(error).removeprefix("JSON is malformed: ")
        )
        raise InvalidInput("invalid_json", f"The body is not JSON: {reason}.") from error
    return value


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body of a request, at most `limit` bytes.

    Raises:
        HTTPException: 413, or 400 when the client left before it had sent everything.
    """
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise protocol_error(HTTPStatus.BAD_REQUEST)
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise protocol_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def bearer_token(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The token of the Authorization header (RFC 6750 §2.1).

    Raises:
        Unauthenticated: "token_missing".
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("token_missing", "This needs an access token: sign in first.")
    return token.strip()


@lru_cache(maxsize=128)
def _decoder(target: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(target)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise InvalidInput("invalid_input", f"{name}: comes twice.", field=name)
        names.add(name)


def _quoted(reason: str) -> str:
    """The field of "Object missing required field `x`" and "Object contains unknown field `x`"."""
    _, _, rest = reason.partition(" field `")
    return rest.rstrip("`")

"""Generates the WebSocket protocol's reference page from `core.messages` and `core.errors`."""

import inspect
import json
import sys
from collections.abc import Iterable
from typing import Any, cast, get_args

import msgspec.inspect as types
from generated import publish
from msgspec import NODEFAULT, Struct

from core import messages
from core.errors import CloseCode

PAGE = "docs/reference/protocol.md"

REVOKED = """
4503 ends a connection whose token ran out (reason `token expired`), whose sign-in ended (`session ended`),
or which presented a token of such a sign-in (`token_revoked`). It comes within moments of the end, on
whichever worker the connection is. Get another token, once: a browser by its refresh token, a node by a
signature. If that is refused, the person has to sign in again. A node that was retired or suspended is closed
the same way, and its request for a token is refused.
"""

HEAD = f"""\
# WebSocket protocol

Version 1. This page is generated from `core/messages.py` and `core/errors.py`.

## Connecting

`GET /ws`, RFC 6455, with one of two subprotocols. They carry the same messages:

| subprotocol | frames | bytes | identifiers | times |
| --- | --- | --- | --- | --- |
| `{messages.JSON_SUBPROTOCOL}` | text, JSON | base64 | text | RFC 3339 text, UTC |
| `{messages.MSGPACK_SUBPROTOCOL}` | binary, msgpack | binary | text | timestamp extension |

A message is an object whose `type` names it. Clients' messages refuse unknown fields. The server's may gain
fields: ignore those you do not know. Amounts are micro-points, whole numbers written as text.

The access token comes in one of three places, the first that is present counts:

1. the header `Authorization: Bearer <token>`;
2. a subprotocol entry `{messages.BEARER_PREFIX}<token>` beside the one above, which the server never echoes
   (browsers);
3. a first message [`auth`](#auth), within `ws.auth_timeout` seconds.

It is never read from the address. A browser's `Origin` must be the page's own or on `ws.allowed_origins`.
"""

SIGNED = (
    (messages.enrol_bytes, "HTTP `POST /api/v1/nodes`"),
    (messages.token_bytes, "HTTP `POST /api/v1/nodes/token`"),
    (messages.challenge_bytes, "`challenge_reply`"),
)


def prose(thing: object) -> str:
    """A docstring as Markdown, names of messages as they stand on the wire."""
    text = inspect.getdoc(thing) or ""
    for message in _all_messages():
        text = text.replace(f"`{message.__name__}`", f"[`{_tag(message)}`](#{_tag(message)})")
    return text


def _all_messages() -> Iterable[type[Struct]]:
    return (*get_args(messages.AnyClientMessage), *get_args(messages.AnyServerMessage))


def _tag(message: type[Struct]) -> str:
    return str(message.__struct_config__.tag)


SCALARS = {
    types.FloatType: "number",
    types.BoolType: "true or false",
    types.NoneType: "null",
    types.AnyType: "any",
    types.UUIDType: "UUID",
    types.DateTimeType: "time",
}


def words(kind: types.Type) -> str:
    """A field's type and bounds in words."""
    match kind:
        case types.StrType(max_length=most):
            text = f"text, at most {most:,} characters" if most else "text"
        case types.BytesType(max_length=most):
            text = f"bytes, {most}" if most else "bytes"
        case types.IntType(ge=least, le=most):
            bounds = [f"at least {least:,}"] if least is not None else []
            bounds += [f"at most {most:,}"] if most is not None else []
            text = ", ".join(["whole number", *bounds])
        case types.ListType(item_type=item):
            text = f"list of {words(item)}"
        case types.DictType(value_type=types.AnyType()):
            text = "object"
        case types.DictType(key_type=key, value_type=value):
            text = f"object of {words(value)} by {words(key)}"
        case types.StructType(cls=cls):
            text = f"[{cls.__name__}](#{cls.__name__.lower()})"
        case types.UnionType(types=choices):
            text = " or ".join(words(choice) for choice in choices)
        case _:
            text = SCALARS[type(kind)]
    return text


def fields(struct: type[Struct]) -> str:
    """The table of a struct's fields."""
    info = cast("types.StructType", types.type_info(struct))
    if not info.fields:
        return "No fields besides `type`.\n"
    rows = [
        f"| `{field.encode_name}` | {words(field.type)} | {_presence(field)} |\n" for field in info.fields
    ]
    return "".join(["| field | type | |\n| --- | --- | --- |\n", *rows])


def _presence(field: types.Field) -> str:
    if field.required:
        return ""
    default: Any = field.default
    if field.default_factory is not NODEFAULT:
        default = field.default_factory()
    if default in (None, NODEFAULT):
        return "optional"
    return f"default `{json.dumps(default)}`"


def structs(title: str, members: Iterable[type[Struct]]) -> str:
    """A section with one entry per struct."""
    parts = [f"\n## {title}\n"]
    for struct in members:
        name = f"`{_tag(struct)}`" if struct.__struct_config__.tag else struct.__name__
        parts.append(f"\n### {name}\n\n{prose(struct)}\n\n{fields(struct)}")
    return "".join(parts)


def close_codes() -> str:
    """The close codes and what a client does about them."""
    rows = []
    for code in CloseCode:
        name = code.name.replace("_", " ").lower()
        own = "do not come back like this" if code.final else "reconnect"
        rows.append(f"| {code.value} | {name} | {own if code.value >= 4000 else 'RFC 6455 §7.4.1'} |\n")
    return "".join(
        [
            "\n## Close codes\n\nA client that reconnects waits longer each time, by a random part of the"
            " wait, so that many do not come at once.\n\n| code | name | the client |\n| --- | --- | --- |\n",
            *rows,
            REVOKED,
        ]
    )


def signed() -> str:
    """What the node signs with its Ed25519 key."""
    parts = ["\n## What a node signs\n\nEd25519, over these bytes one after the other.\n"]
    for function, where in SIGNED:
        parts.append(f"\n- for {where}: {inspect.getdoc(function)}")
    contexts = (
        ("enrol", messages.ENROL_CONTEXT),
        ("token", messages.TOKEN_CONTEXT),
        ("challenge", messages.CHALLENGE_CONTEXT),
    )
    parts.append("\n\nThe contexts are ASCII and end in a zero byte: ")
    parts.append(", ".join(f"{name} `{text[:-1].decode()}`" for name, text in contexts) + ".\n")
    return "".join(parts)


def page() -> str:
    """The reference page, in Markdown."""
    return "".join(
        [
            HEAD,
            structs("From the client", get_args(messages.AnyClientMessage)),
            structs("From the server", get_args(messages.AnyServerMessage)),
            structs(
                "Parts and channel data",
                (
                    messages.Resume,
                    messages.Limits,
                    messages.Overview,
                    messages.Accruing,
                    messages.NodeView,
                    messages.NetworkSummary,
                    messages.CountryCount,
                    messages.EpochClosed,
                    messages.PoolClosed,
                ),
            ),
            close_codes(),
            signed(),
        ]
    )


if __name__ == "__main__":
    sys.exit(publish({PAGE: page()}, __doc__))

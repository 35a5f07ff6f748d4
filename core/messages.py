"""The WebSocket protocol v1: every message, and nothing else.

Messages are msgspec tagged structs (`type` field, snake_case), the same in JSON (text frames,
subprotocol ``pulseboard.v1.json``) and msgpack (binary frames, ``pulseboard.v1.msgpack``).
Clients' messages refuse unknown fields; servers' messages may gain fields, which clients ignore.
Amounts are micro-points, whole numbers written as strings. Times are UTC, RFC 3339.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

JSON_SUBPROTOCOL = "pulseboard.v1.json"
MSGPACK_SUBPROTOCOL = "pulseboard.v1.msgpack"
BEARER_PREFIX = "bearer."

ChannelName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z]+(:[0-9a-f-]{36})?\Z")]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]
ByteCount = Annotated[int, Meta(ge=0, le=1 << 50)]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class ClientMessage(Struct, tag_field="type", tag=_snake, forbid_unknown_fields=True):
    """Base of what a client may send."""


class ServerMessage(Struct, tag_field="type", tag=_snake):
    """Base of what the server sends."""


class Resume(Struct, forbid_unknown_fields=True):
    """Where a former session stood: its id and the last offset seen of each channel."""

    session: UUID
    channels: Annotated[dict[ChannelName, int], Meta(max_length=64)] = {}


class Auth(ClientMessage):
    """Present an access token: first message of a connection, or a renewal on a living one."""

    token: Token
    resume: Resume | None = None


class Subscribe(ClientMessage):
    """Join a channel, from `offset` of `epoch` on if known."""

    channel: ChannelName
    offset: Annotated[int, Meta(ge=0)] | None = None
    epoch: Annotated[str, Meta(max_length=64)] | None = None


class Unsubscribe(ClientMessage):
    """Leave a channel."""

    channel: ChannelName


class Beat(ClientMessage):
    """A node's telemetry since its last beat. Bytes and errors are counts."""

    bytes_up: ByteCount
    bytes_down: ByteCount
    errors: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    agent_version: Annotated[str, Meta(max_length=64)] = ""


class ChallengeReply(ClientMessage):
    """A node's Ed25519 signature over `challenge_bytes` of the nonce it was sent."""

    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


class Call(ClientMessage):
    """Ask a service: answered with a `Result` or an `Error` of the same `id`."""

    id: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
    method: Annotated[str, Meta(max_length=64)]
    params: dict[str, Any] = {}


class Ping(ClientMessage):
    """Answered with `Pong`; browsers cannot send control pings."""


AnyClientMessage = Auth | Subscribe | Unsubscribe | Beat | ChallengeReply | Call | Ping


class Limits(Struct):
    """What the server accepts: bytes of a message, subscriptions of a connection."""

    message_bytes: int
    subscriptions: int


class Welcome(ServerMessage):
    """Sent once the token is accepted. `ping_interval` is in seconds."""

    session: UUID
    worker: str
    server_time: datetime
    ping_interval: float
    token_expires: datetime
    limits: Limits


class Subscribed(ServerMessage):
    """A subscription stands. Not `recovered` means that a `Snapshot` follows."""

    channel: str
    offset: int
    epoch: str
    recovered: bool


class Snapshot(ServerMessage):
    """The channel's whole state at `offset`."""

    channel: str
    offset: int
    data: Any


class Event(ServerMessage):
    """The channel's news at `offset`."""

    channel: str
    offset: int
    data: Any


class Challenge(ServerMessage):
    """Sign `challenge_bytes(nonce, node, session)` before `deadline`."""

    nonce: bytes
    deadline: datetime


class Result(ServerMessage):
    """The answer to the call `id`."""

    id: int
    data: Any


class Error(ServerMessage):
    """What was refused: the same `code` and `detail` as the HTTP problem.

    `id` names the call, if it was one.
    """

    code: str
    detail: str
    id: int | UnsetType = UNSET


class TokenExpiring(ServerMessage):
    """The token ends at `expires`: refresh it and send `Auth` again on this socket."""

    expires: datetime


class Reconnect(ServerMessage):
    """The server drains: leave and come back after `after_ms` milliseconds."""

    after_ms: int
    resume: str | None = None


class Pong(ServerMessage):
    """The answer to `Ping`."""

    server_time: datetime


AnyServerMessage = (
    Welcome | Subscribed | Snapshot | Event | Challenge | Result | Error | TokenExpiring | Reconnect | Pong
)


class NodeView(Struct):
    """A node as its owner sees it. `since` is the time of the last change of `state`.

    `state` is online, degraded, offline or suspended; `flapping` says that it comes and goes too often.
    `rtt_ms` and `jitter_ms` are of the newest round trip; `country` is an ISO 3166-1 code. None: it was
    not measured, or is not known.
    """

    node_id: UUID
    name: str
    state: str
    since: datetime | None
    confirmed_seconds: int
    flapping: bool = False
    country: str | None = None
    rtt_ms: float | None = None
    jitter_ms: float | None = None


class Accruing(Struct):
    """What the epochs that are not closed yet will pay: an estimate in micro-points, not booked.

    They are `epoch`, which is closed next, and, if it has ended already, those after it up to now;
    `starts_at` is its beginning, `ends_at` the end of the newest. `amount` is one's share of what their
    pools accrued until now. The closes book `least` or more, as long as no score of one's nodes falls and
    all the others do not work at more than twice the pace they had; and `most` or less, as long as one's own
    nodes do not.
    """

    epoch: int
    starts_at: datetime
    ends_at: datetime
    amount: str
    least: str
    most: str


class Overview(Struct):
    """A user's whole live state: data of channel ``me`` and of ``GET /me/overview``.

    `balance` (micro-points) is all that is booked, `accruing` what comes on top; None: no epoch has begun.
    `nodes` lists the first `NODES_SHOWN`. A greater `revision` is newer.
    """

    revision: int
    nodes_total: int
    nodes_online: int
    confirmed_seconds: int
    balance: str
    accruing: Accruing | None
    nodes: list[NodeView]


NODES_SHOWN = 200


class CountryCount(Struct):
    """Nodes online in a country now. `country` is an ISO 3166-1 code, None: it is not known where."""

    country: str | None
    nodes_online: int


class NetworkSummary(Struct):
    """The whole network: data of channel ``network`` and of ``GET /network/summary``.

    `countries` are those with a node online, by code, the unknown last.
    """

    revision: int
    nodes_online: int
    nodes_total: int
    users_total: int
    confirmed_seconds: int
    countries: list[CountryCount]


class PoolClosed(Struct):
    """What an epoch had for a category, in micro-points: `pool` = `rewarded` + `unallocated`."""

    category: str
    pool: str
    rewarded: str
    unallocated: str


class EpochClosed(Struct):
    """An epoch was closed, and all it pays is booked: data of channel ``epoch``.

    `nodes` and `users` are how many had a part in it.
    """

    number: int
    starts_at: datetime
    ends_at: datetime
    closed_at: datetime
    nodes: int
    users: int
    pools: list[PoolClosed]


CHALLENGE_CONTEXT = b"pulseboard challenge v1\0"
TOKEN_CONTEXT = b"pulseboard node token v1\0"
ENROL_CONTEXT = b"pulseboard enrol v1\0"


def challenge_bytes(nonce: bytes, node: UUID, session: UUID) -> bytes:
    """What a node signs to answer a challenge: context, nonce (32), node (16), session (16)."""
    return CHALLENGE_CONTEXT + nonce + node.bytes + session.bytes


def token_bytes(node: UUID, time_ms: int) -> bytes:
    """What a node signs to get an access token: context, node (16), milliseconds (8, big-endian)."""
    return TOKEN_CONTEXT + node.bytes + time_ms.to_bytes(8, "big")


def enrol_bytes(user: UUID, public_key: bytes) -> bytes:
    """What a new node signs to prove that it holds its key: context, owner (16), public key (32)."""
    return ENROL_CONTEXT + user.bytes + public_key


json_encode = msgspec.json.Encoder().encode
msgpack_encode = msgspec.msgpack.Encoder().encode
json_decode_client = msgspec.json.Decoder(AnyClientMessage).decode
msgpack_decode_client = msgspec.msgpack.Decoder(AnyClientMessage).decode
json_decode_server = msgspec.json.Decoder(AnyServerMessage).decode
msgpack_decode_server = msgspec.msgpack.Decoder(AnyServerMessage).decode

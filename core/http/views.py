"""What the HTTP API takes and gives, where it is not a message of the WebSocket protocol too."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from services.nodes import KnownNode
from services.rounding import to_milliseconds
from services.sessions import SignIn
from storage.base import Node, Status, User

Text = Annotated[str, Meta(max_length=1024)]


class RegisterRequest(Struct, forbid_unknown_fields=True):
    """A new account. The password has 12 to 128 characters of any script."""

    email: Text
    password: Text
    display_name: Text | None = None
    referral_code: Text | None = None
    locale: Text | None = None


class LoginRequest(Struct, forbid_unknown_fields=True):
    """`code` is six digits of the second factor, or a recovery code.

    With `cookie` the refresh token comes as an HttpOnly cookie instead of in the body.
    """

    email: Text
    password: Text
    code: Text | None = None
    cookie: bool = False


class RefreshRequest(Struct, forbid_unknown_fields=True):
    """The refresh token; a browser that signed in with `cookie` sends the cookie alone."""

    refresh_token: Text | None = None


class Profile(Struct):
    """A person. `locale` is a language tag, `time_zone` an IANA name, `wallet` an address (EIP-55).

    `second_factor` is whether signing in takes a code too.
    """

    user_id: UUID
    email: str
    display_name: str
    role: str
    locale: str
    time_zone: str
    wallet: str | None
    second_factor: bool
    created_at: datetime


class Session(Struct):
    """A signed-in session. `expires_at` is the access token's end."""

    access_token: str
    expires_at: datetime
    user: Profile
    refresh_token: str | UnsetType = UNSET
    refresh_expires_at: datetime | UnsetType = UNSET


class Enrolment(Struct):
    """A token with which nodes can be enrolled until `expires_at`."""

    token: str
    expires_at: datetime


class AccessToken(Struct):
    """A token for `Authorization: Bearer`, and its end."""

    access_token: str
    expires_at: datetime


class EnrolRequest(Struct, forbid_unknown_fields=True):
    """A new node: its Ed25519 public key and its signature over `enrol_bytes`, both in base64."""

    public_key: bytes
    name: Text
    signature: bytes


class NodeTokenRequest(Struct, forbid_unknown_fields=True):
    """A node's signature (base64) over `token_bytes` of its id and its time in milliseconds."""

    node_id: UUID
    time_ms: int
    signature: bytes


class NodeRecord(Struct):
    """An enrolled node."""

    node_id: UUID
    user_id: UUID
    name: str
    public_key: bytes
    created_at: datetime


class NodeItem(NodeRecord):
    """A node and its state now: online, degraded, offline or suspended, `since` when.

    `flapping`: it comes and goes too often. `country` is an ISO 3166-1 code, null: not known.
    """

    state: Status
    since: datetime | None
    flapping: bool
    confirmed_seconds: int
    country: str | None


class NodeDetail(NodeItem):
    """A node and all that is known of how it does.

    `address` is where its newest connection came from, for its owner and the staff alone; `asn` the
    autonomous system of that, `seen_at` when it was heard of last, `session_id` the session it is or was
    in. `rtt_ms` and `jitter_ms` are of the newest round trip. Null: not known, or not measured yet.
    """

    address: str | None
    asn: int | None
    agent_version: str | None
    seen_at: datetime | None
    session_id: UUID | None
    rtt_ms: float | None
    jitter_ms: float | None


class NodeChange(Struct, forbid_unknown_fields=True):
    """What is to be replaced."""

    name: Text


class NodePage(Struct):
    """A page of nodes by id; `next_cursor` is null on the last."""

    items: list[NodeItem]
    next_cursor: str | None


class ClientSettings(Struct, frozen=True):
    """What a client needs to connect: without `ws_url` it is this host at `ws_port`, path ``/ws``."""

    ws_url: str | None
    ws_port: int
    version: str
    beat_interval: float


def profile(user: User) -> Profile:
    """`user` without what stays here."""
    return Profile(
        user.user_id,
        user.email,
        user.display_name,
        user.role,
        user.locale,
        user.time_zone,
        user.wallet,
        user.second_factor,
        user.created_at,
    )


def session(sign_in: SignIn, *, with_refresh: bool) -> Session:
    """`sign_in` with the refresh token in the body, or without."""
    view = Session(sign_in.access_token, sign_in.expires_at, profile(sign_in.user))
    if with_refresh:
        view.refresh_token = sign_in.refresh_token
        view.refresh_expires_at = sign_in.refresh_expires_at
    return view


def node_record(node: Node) -> NodeRecord:
    """`node` as its owner sees it."""
    return NodeRecord(node.node_id, node.user_id, node.name, node.public_key, node.created_at)


def node_item(known: KnownNode) -> NodeItem:
    """A node in a list."""
    node, live = known.node, known.live
    return NodeItem(
        node.node_id,
        node.user_id,
        node.name,
        node.public_key,
        node.created_at,
        live.status,
        live.since,
        live.flapping,
        live.confirmed_seconds,
        live.country,
    )


def node_detail(known: KnownNode) -> NodeDetail:
    """A node by itself."""
    live = known.live
    return NodeDetail(
        **asdict(node_item(known)),
        address=live.address or None,
        asn=live.asn,
        agent_version=live.agent_version or None,
        seen_at=live.seen_at,
        session_id=live.session_id,
        rtt_ms=to_milliseconds(live.rtt_us),
        jitter_ms=to_milliseconds(live.jitter_us),
    )

"""Access tokens: short-lived, signed, verified by every process without asking anybody.

A token is a JWT (RFC 7519) under HMAC-SHA-256. There is one issuer and it writes one header for
each of its keys, so a token whose header differs in a single byte (another algorithm, none at all,
an unknown key) is refused before anything in it is parsed.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from joserfc import jws
from joserfc.jwk import OctKey
from msgspec import Struct

from core.clock import Clock
from core.errors import Unauthenticated

ISSUER = "pulseboard"
AUDIENCE = "pulseboard"
ALGORITHM = "HS256"
MAX_TOKEN = 4096
# How far another host's clock may run ahead of ours, in seconds.
LEEWAY = 30

USER: Final = "user"
NODE: Final = "node"
ENROL: Final = "enrol"


class Principal(Struct, frozen=True):
    """Whom a token speaks for.

    `kind` is "user", "node" or "enrol" (may do nothing but enrol nodes); `user_id` is the person,
    for a node its owner; `session_id` is the sign-in that a user's or an enrolment token came from;
    `public_key` is a node's Ed25519 key (32 bytes), so that its challenges are judged without asking
    anybody; `issued_ms` is when the token was made, in milliseconds since the epoch.
    """

    kind: str
    user_id: UUID
    node_id: UUID | None
    session_id: UUID | None
    role: str
    expires_at: datetime
    public_key: bytes | None = None
    issued_ms: int = 0


class _Claims(Struct, forbid_unknown_fields=True, omit_defaults=True):
    iss: str
    aud: str
    sub: UUID
    iat: float
    exp: int
    kind: str
    role: str
    node: UUID | None = None
    sid: UUID | None = None
    key: bytes | None = None


_registry = jws.JWSRegistry(algorithms=[ALGORITHM])
_decode_claims = msgspec.json.Decoder(_Claims).decode
_encode_claims = msgspec.json.Encoder().encode


class Tokens:
    """Issues and verifies access tokens. Does no input or output; safe to share between threads.

    Keys are told apart by the `kid` of a token's header: one signs, it and the former ones verify.
    """

    def __init__(
        self, secret: str, clock: Clock, access_ttl: int, enrol_ttl: int, *, former: Sequence[str] = ()
    ) -> None:
        """`secret` signs, the `former` ones signed before; each has at least 32 characters.

        The life times are in seconds.
        """
        self._key = OctKey.import_key(secret.encode())
        self._header = _header(secret)
        self._clock = clock
        self._access_ttl = access_ttl
        self._enrol_ttl = enrol_ttl
        # As they stand in tokens, with the dot; all have one length.
        self._secrets = {
            _sign(_header(each), b"", OctKey.import_key(each.encode())).partition(".")[0] + ".": each.encode()
            for each in (*former, secret)
        }
        self._header_length = len(next(iter(self._secrets)))

    def for_user(self, user_id: UUID, session_id: UUID, role: str) -> tuple[str, datetime]:
        """A token for a signed-in person, and when it ends."""
        return self._issue(USER, user_id, role, self._access_ttl, sid=session_id)

    def for_node(self, node_id: UUID, owner_id: UUID, public_key: bytes) -> tuple[str, datetime]:
        """A token for a node, and when it ends."""
        return self._issue(NODE, owner_id, NODE, self._access_ttl, node=node_id, key=public_key)

    def for_enrolment(self, user_id: UUID, session_id: UUID | None = None) -> tuple[str, datetime]:
        """A token with which nodes can be enrolled for `user_id` and nothing else, and when it ends.

        It ends with the session it was asked for in.
        """
        return self._issue(ENROL, user_id, ENROL, self._enrol_ttl, sid=session_id)

    def verify(self, token: str, *kinds: str) -> Principal:
        """Whom `token` speaks for; with `kinds` given, only of one of these.

        Raises:
            Unauthenticated: "token_expired", or "token_invalid" for every other reason.
        """
        claims = self._read(token)
        now = self._clock.now().timestamp()
        if claims.iss != ISSUER or claims.aud != AUDIENCE or claims.iat > now + LEEWAY:
            raise _invalid()
        if kinds and claims.kind not in kinds:
            raise Unauthenticated("token_invalid", "This kind of token does not serve here.")
        if claims.exp <= now:
            raise Unauthenticated("token_expired", "The token has expired.")
        return Principal(
            claims.kind,
            claims.sub,
            claims.node,
            claims.sid,
            claims.role,
            datetime.fromtimestamp(claims.exp, UTC),
            claims.key,
            round(claims.iat * 1000),
        )

    def _issue(
        self,
        kind: str,
        user_id: UUID,
        role: str,
        ttl: int,
        *,
        node: UUID | None = None,
        sid: UUID | None = None,
        key: bytes | None = None,
    ) -> tuple[str, datetime]:
        issued = self._clock.now_ms() / 1000
        claims = _Claims(ISSUER, AUDIENCE, user_id, issued, int(issued) + ttl, kind, role, node, sid, key)
        token = _sign(self._header, _encode_claims(claims), self._key)
        return token, datetime.fromtimestamp(claims.exp, UTC)

    def _read(self, token: str) -> _Claims:
        secret = self._secrets.get(token[: self._header_length])
        if secret is None or len(token) > MAX_TOKEN or not token.isascii():
            raise _invalid()
        # With the header fixed to the byte this is all of RFC 7515 §5.2 that is left, at a quarter of
        # the library's time; every handshake and request waits for it.
        signed, _, signature = token.rpartition(".")
        digest = hmac.digest(secret, signed.encode(), "sha256")
        if not hmac.compare_digest(urlsafe_b64encode(digest).rstrip(b"="), signature.encode()):
            raise _invalid()
        try:
            return _decode_claims(urlsafe_b64decode(signed[self._header_length :] + "=="))
        except (ValueError, msgspec.DecodeError) as error:
            raise _invalid() from error


def _header(secret: str) -> dict[str, str]:
    """The header of tokens that `secret` signs."""
    digest = hashlib.sha256(b"pulseboard key id\0" + secret.encode())
    return {"typ": "JWT", "alg": ALGORITHM, "kid": digest.hexdigest()[:16]}


def _sign(header: dict[str, str], payload: bytes, key: OctKey) -> str:
    return jws.serialize_compact(dict(header), payload, key, registry=_registry)


def _invalid() -> Unauthenticated:
    return Unauthenticated("token_invalid", "The token is not valid.")

"""Nodes: enrolment, their access tokens, and the network they make up together."""

from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.clock import Clock, new_id, to_ms
from core.errors import Conflict, Forbidden, InvalidInput, Unauthenticated
from core.messages import CountryCount, NetworkSummary, enrol_bytes, token_bytes
from services.names import clean_name
from services.reasons import reason
from services.tokens import Tokens
from storage.base import AbuseStore, Node, NodeStore, UptimeStore

KEY_BYTES = 32
MAX_SKEW_MS = 120_000

# The base point of the curve: a key nobody signs with, so that an unknown node costs a verification too.
_NOBODY = b"\x58" + b"\x66" * 31


class Networks:
    """The nodes of all people."""

    def __init__(
        self, nodes: NodeStore, uptime: UptimeStore, abuse: AbuseStore, tokens: Tokens, clock: Clock
    ) -> None:
        self._nodes = nodes
        self._abuse = abuse
        self._uptime = uptime
        self._tokens = tokens
        self._clock = clock

    async def enrol(self, user_id: UUID, public_key: bytes, name: str, signature: bytes) -> Node:
        """Make the holder of `public_key` a node of `user_id`; `signature` is over `enrol_bytes`.

        The same owner and key again return the node there is, under the name it has.

        Raises:
            InvalidInput: "invalid_input" naming the field; "signature_invalid".
            Conflict: "key_taken" when the key is another person's node.
        """
        if len(public_key) != KEY_BYTES:
            raise InvalidInput(
                "invalid_input", f"public_key: must have {KEY_BYTES} bytes.", field="public_key"
            )
        cleaned = clean_name(name, "name")
        if not _signed(public_key, signature, enrol_bytes(user_id, public_key)):
            raise InvalidInput("signature_invalid", "The signature does not fit the public key.")
        node = await self._nodes.enrol(
            Node(
                user_id=user_id,
                node_id=new_id(),
                public_key=public_key,
                name=cleaned,
                created_at=self._clock.now(),
            )
        )
        if node is None:
            raise Conflict("key_taken", "This key belongs to a node of somebody else.")
        return node

    async def node_token(self, node_id: UUID, time_ms: int, signature: bytes) -> tuple[str, datetime]:
        """An access token for the node that signed `token_bytes`, and when it ends.

        Raises:
            Unauthenticated: "clock_skew" with our time in milliseconds as `server_time` when the
                node's clock is off; "node_rejected" when there is no such node or the signature is
                not its own; "signature_used" when the node had a token for this or a later time.
            Forbidden: "node_suspended", saying why.
        """
        now = to_ms(self._clock.now())
        if abs(now - time_ms) > MAX_SKEW_MS:
            raise Unauthenticated(
                "clock_skew", "The time that was signed is too far from the server's.", server_time=now
            )
        node = await self._nodes.by_id(node_id)
        known = _signed(node.public_key if node else _NOBODY, signature, token_bytes(node_id, time_ms))
        if node is None or not known:
            raise Unauthenticated("node_rejected", "There is no such node, or the signature is not its own.")
        suspension = await self._abuse.suspension(node_id)
        if suspension is not None:
            why = reason(suspension.rule, suspension.evidence)
            raise Forbidden("node_suspended", f"This node is suspended. {why}")
        if not await self._nodes.advance_token_time(node_id, time_ms):
            raise Unauthenticated("signature_used", "This signature has served; sign the current time.")
        return self._tokens.for_node(node.node_id, node.user_id, node.public_key)

    async def summary(self) -> NetworkSummary:
        """The whole network."""
        totals = await self._uptime.network()
        return NetworkSummary(
            revision=totals.revision,
            nodes_online=totals.nodes_online,
            nodes_total=totals.nodes_total,
            users_total=totals.users_total,
            confirmed_seconds=totals.confirmed_seconds,
            countries=[CountryCount(each.country, each.nodes_online) for each in totals.countries],
        )


def _signed(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True

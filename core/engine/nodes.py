"""The node connections of a worker: challenges, and the uptime they confirm.

A node is challenged when it connects and at random times after that. An answer in time, signed by the
node's key, confirms the time since the answer before it (since the connection opened, for the first).
A missed or wrong answer confirms nothing: counting starts anew with the next right one. Time after the
last answer is not confirmed.
"""

import hmac
import os
import random
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from core.clock import Clock
from core.config import Network
from core.errors import InvalidInput, Unauthenticated
from core.messages import Beat, Challenge, ChallengeReply, challenge_bytes
from ext.hub import Hub
from storage.base import Closed, Confirmed, Opened, Record, Reported


class _Node(Struct):
    """One connection of a node. `confirmed_ms` is up to when it is confirmed, None if it is not."""

    node_id: UUID
    session_id: UUID
    key: Ed25519PublicKey
    confirmed_ms: int | None
    nonce: bytes | None = None


class NodeConnections:
    """Follows the nodes' connections by their handles and records what it sees."""

    def __init__(
        self,
        settings: Network,
        clock: Clock,
        hub: Hub,
        record: Callable[[Record], None],
        send: Callable[[int, Challenge], None],
    ) -> None:
        self._interval_ms = settings.challenge_interval * 1000
        self._timeout = timedelta(seconds=settings.challenge_timeout)
        self._clock = clock
        self._hub = hub
        self._record = record
        self._send = send
        self._nodes: dict[int, _Node] = {}
        self.answered = 0
        self.missed = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def opened(self, handle: int, node_id: UUID, session_id: UUID, public_key: bytes, address: str) -> None:
        """An authenticated connection of a node begins; it is challenged at once."""
        now_ms = self._clock.now_ms()
        key = Ed25519PublicKey.from_public_bytes(public_key)
        self._nodes[handle] = _Node(node_id, session_id, key, confirmed_ms=now_ms)
        self._record(Opened(node_id, session_id, now_ms, address))
        self._challenge(handle, self._nodes[handle])

    def closed(self, handle: int, code: int) -> None:
        """The connection ended; unknown handles are ignored."""
        node = self._nodes.pop(handle, None)
        if node is not None:
            self._record(Closed(node.node_id, node.session_id, self._clock.now_ms(), code))

    def on_alarm(self, handle: int) -> None:
        """A challenge is due, or the answer to one is overdue."""
        node = self._nodes.get(handle)
        if node is None:
            return
        if node.nonce is None:
            self._challenge(handle, node)
        else:
            self.missed += 1
            node.nonce = None
            node.confirmed_ms = None
            self._wait(handle)

    def beat(self, handle: int, beat: Beat) -> None:
        """Record a beat.

        Raises:
            InvalidInput: "not_a_node".
        """
        node = self._find(handle)
        self._record(
            Reported(
                node.node_id,
                node.session_id,
                self._clock.now_ms(),
                beat.bytes_up,
                beat.bytes_down,
                beat.errors,
                beat.agent_version,
            )
        )

    def reply(self, handle: int, reply: ChallengeReply) -> None:
        """Judge the answer to a challenge.

        Raises:
            InvalidInput: "not_a_node"; "challenge_unknown" for an answer that is late, repeated or to
                another's nonce.
            Unauthenticated: "wrong_signature".
        """
        node = self._find(handle)
        if node.nonce is None or not hmac.compare_digest(node.nonce, reply.nonce):
            self.refused += 1
            raise InvalidInput("challenge_unknown", "No such challenge is open.")
        node.nonce = None
        self._wait(handle)
        try:
            node.key.verify(reply.signature, challenge_bytes(reply.nonce, node.node_id, node.session_id))
        except InvalidSignature as error:
            self.refused += 1
            node.confirmed_ms = None
            raise Unauthenticated("wrong_signature", "The signature is not this node's.") from error
        self.answered += 1
        now_ms = self._clock.now_ms()
        # A clock that was set back confirms nothing until it has caught up.
        if node.confirmed_ms is not None and now_ms > node.confirmed_ms:
            self._record(Confirmed(node.node_id, node.session_id, node.confirmed_ms, now_ms))
        if node.confirmed_ms is None or now_ms > node.confirmed_ms:
            node.confirmed_ms = now_ms

    def _find(self, handle: int) -> _Node:
        node = self._nodes.get(handle)
        if node is None:
            raise InvalidInput("not_a_node", "Only nodes send this.")
        return node

    def _challenge(self, handle: int, node: _Node) -> None:
        node.nonce = os.urandom(32)
        self._hub.set_alarm(handle, self._hub.now_ms() + round(self._timeout.total_seconds() * 1000))
        self._send(handle, Challenge(node.nonce, self._clock.now() + self._timeout))

    def _wait(self, handle: int) -> None:
        """Let the next challenge come after half to one and a half of the mean interval."""
        pause = self._interval_ms * random.uniform(0.5, 1.5)  # noqa: S311 - the nonce is the secret
        self._hub.set_alarm(handle, self._hub.now_ms() + round(pause))

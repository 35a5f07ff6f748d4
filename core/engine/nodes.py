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
    """One connection of a node. `confirmed_ms` is up to when it is confirmed, None if it is not.

    `beaten_ms` is the time of the newest beat that was not recorded yet, 0 if there is none; the sums
    are of those beats.
    """

    node_id: UUID
    session_id: UUID
    key: Ed25519PublicKey
    confirmed_ms: int | None
    nonce: bytes | None = None
    beaten_ms: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0
    agent_version: str = ""

    def take_report(self) -> Reported:
        """The beats that were not recorded yet, added up; they count as recorded now."""
        report = Reported(
            self.node_id,
            self.session_id,
            self.beaten_ms,
            self.bytes_up,
            self.bytes_down,
            self.errors,
            self.agent_version,
        )
        self.beaten_ms = self.bytes_up = self.bytes_down = self.errors = 0
        return report


class NodeConnections:
    """Follows the nodes' connections by their handles and records what it sees.

    `record` takes one observation; `announce` is told when `reports` has some.
    """

    def __init__(
        self,
        *,
        settings: Network,
        clock: Clock,
        hub: Hub,
        record: Callable[[Record], None],
        announce: Callable[[], None],
        send: Callable[[int, Challenge], None],
    ) -> None:
        self._interval_ms = settings.challenge_interval * 1000
        self._timeout = timedelta(seconds=settings.challenge_timeout)
        self._clock = clock
        self._hub = hub
        self._record = record
        self._announce = announce
        self._beaten: list[_Node] = []
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
            if node.beaten_ms:
                self._record(node.take_report())
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
        """Add a beat to what `reports` returns next.

        Raises:
            InvalidInput: "not_a_node".
        """
        node = self._nodes.get(handle)
        if node is None:
            raise _not_a_node()
        if not node.beaten_ms:
            self._beaten.append(node)
            if len(self._beaten) == 1:
                self._announce()
        node.beaten_ms = self._clock.now_ms()
        node.bytes_up += beat.bytes_up
        node.bytes_down += beat.bytes_down
        node.errors += beat.errors
        node.agent_version = beat.agent_version

    def reports(self) -> list[Record]:
        """One record for each node that has beaten since this was asked last."""
        beaten, self._beaten = self._beaten, []
        return [node.take_report() for node in beaten if node.beaten_ms]

    def reply(self, handle: int, reply: ChallengeReply) -> None:
        """Judge the answer to a challenge.

        Raises:
            InvalidInput: "not_a_node"; "challenge_unknown" for an answer that is late, repeated or to
                another's nonce.
            Unauthenticated: "wrong_signature".
        """
        node = self._nodes.get(handle)
        if node is None:
            raise _not_a_node()
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

    def _challenge(self, handle: int, node: _Node) -> None:
        node.nonce = os.urandom(32)
        self._hub.set_alarm(handle, self._hub.now_ms() + round(self._timeout.total_seconds() * 1000))
        self._send(handle, Challenge(node.nonce, self._clock.now() + self._timeout))

    def _wait(self, handle: int) -> None:
        """Let the next challenge come after half to one and a half of the mean interval."""
        pause = self._interval_ms * random.uniform(0.5, 1.5)  # noqa: S311 - the nonce is the secret
        self._hub.set_alarm(handle, self._hub.now_ms() + round(pause))


def _not_a_node() -> InvalidInput:
    return InvalidInput("not_a_node", "Only nodes send this.")

"""The node's side of the WebSocket protocol: messages and a clock in, messages and events out.

Knows no socket, no event loop and no HTTP. Times are seconds on a clock that never goes back.
"""

import random
from collections.abc import Callable
from uuid import UUID

import msgspec
from msgspec import Struct

from core.backoff import Backoff
from core.errors import CloseCode
from core.messages import (
    AnyClientMessage,
    AnyServerMessage,
    Auth,
    Beat,
    Challenge,
    ChallengeReply,
    Error,
    Reconnect,
    TokenExpiring,
    Welcome,
    challenge_bytes,
    msgpack_decode_server,
)

BACKOFF_BASE = 0.5
BACKOFF_CAP = 60.0
# A connection that lasted this long proves that the server is well.
STABLE_AFTER = 60.0
# A server is silent for one ping interval at most; this many leave room for one lost ping.
SILENT_INTERVALS = 2.5
# Until `welcome` says how often the server pings: the handshake's own patience.
WELCOME_TIMEOUT = 10.0


class Traffic:
    """What a node's WebSockets moved and failed at since the last beat: bytes and a count.

    Outlives connections, so that the farewell of one is in the first beat of the next.
    """

    def __init__(self) -> None:
        self.up = 0
        self.down = 0
        self.errors = 0

    def beat(self, version: str) -> Beat:
        """Report everything so far and begin again at zero."""
        beat = Beat(self.up, self.down, self.errors, version)
        self.up = self.down = self.errors = 0
        return beat


class Online(Struct, frozen=True):
    """The server accepted the node."""

    welcome: Welcome


class TokenWanted(Struct, frozen=True):
    """The token ends soon: hand a new one to `Session.renewed`."""


class Refused(Struct, frozen=True):
    """The server refused a message of ours and said why."""

    code: str
    detail: str


class Leave(Struct, frozen=True):
    """Close the socket with 1000 and come back after `after` seconds."""

    after: float


class Dead(Struct, frozen=True):
    """The server was silent for `silence` seconds: drop the socket."""

    silence: float


Event = Online | TokenWanted | Refused | Leave | Dead
Output = list[AnyClientMessage | Event]


class Session:
    """One connection of a node, from its opening to its end.

    `sign` makes the node's Ed25519 signature. Every method returns what is to be sent and what is
    to be done, in order; after `Leave` or `Dead` nothing more comes.
    """

    def __init__(
        self,
        sign: Callable[[bytes], bytes],
        node_id: UUID,
        *,
        beat_interval: float,
        version: str,
        traffic: Traffic,
        now: float,
    ) -> None:
        self._sign = sign
        self._node_id = node_id
        self._beat_interval = beat_interval
        self._version = version
        self._traffic = traffic
        self._welcome: Welcome | None = None
        self._over = False
        self._heard_at = now
        self._patience = WELCOME_TIMEOUT
        self._next_beat = float("inf")
        #: When `welcome` came; None before.
        self.online_since: float | None = None

    def heard(self, now: float) -> None:
        """A frame of any kind came."""
        self._heard_at = now

    def receive(self, message: AnyServerMessage, now: float) -> Output:
        """Take a message of the server."""
        output: Output = []
        if self._over:
            return output
        match message:
            case Welcome():
                output = self._welcomed(message, now)
            case Challenge(nonce=nonce):
                output = self._challenged(nonce)
            case TokenExpiring():
                output = [TokenWanted()]
            case Error(code=code, detail=detail):
                self._traffic.errors += 1
                output = [Refused(code, detail)]
            case Reconnect(after_ms=after_ms):
                self._over = True
                output = [Leave(max(after_ms, 0) / 1000)]
        return output

    def renewed(self, token: str) -> Output:
        """Present the new token that `TokenWanted` asked for."""
        return [] if self._over else [Auth(token)]

    def tick(self, now: float) -> Output:
        """Do what is due: call it at `deadline`."""
        if self._over:
            return []
        silence = now - self._heard_at
        if silence >= self._patience:
            self._over = True
            return [Dead(silence)]
        if now < self._next_beat:
            return []
        # A late tick is not made up for: the next beat is one whole interval away.
        self._next_beat = now + self._beat_interval
        return [self._traffic.beat(self._version)]

    @property
    def deadline(self) -> float:
        """When `tick` has something to do at the earliest."""
        return min(self._next_beat, self._heard_at + self._patience)

    def _welcomed(self, welcome: Welcome, now: float) -> Output:
        # A renewed token may be answered with another welcome: the session goes on.
        first = self._welcome is None
        self._welcome = welcome
        self._patience = max(welcome.ping_interval, 0.001) * SILENT_INTERVALS
        if not first:
            return []
        self.online_since = now
        self._next_beat = now + self._beat_interval
        return [Online(welcome)]

    def _challenged(self, nonce: bytes) -> Output:
        if self._welcome is None or len(nonce) != 32:
            return []
        signature = self._sign(challenge_bytes(nonce, self._node_id, self._welcome.session))
        return [ChallengeReply(nonce, signature)]


class Again(Struct, frozen=True):
    """Connect again after `delay` seconds; with a `fresh_token` if the old one was refused."""

    delay: float
    fresh_token: bool = False


class Stop(Struct, frozen=True):
    """Do not come back: why."""

    reason: str


class Reconnects:
    """Decides what follows the end of a connection, or a failed attempt to make one.

    Delays grow exponentially with full jitter, from `BACKOFF_BASE` to `BACKOFF_CAP`, and begin
    anew after a connection that was stable for `STABLE_AFTER`.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._backoff = Backoff(BACKOFF_BASE, BACKOFF_CAP, rng)
        self._token_refused = False

    def told(self, after: float) -> Again:
        """The server assigned the time to come back."""
        self._backoff.reset()
        return Again(after)

    def failed(self, online_for: float = 0.0, at_least: float = 0.0) -> Again:
        """The connection, or the attempt, ended by a fault; it was `online_for` seconds online.

        `at_least` is a wait in seconds that the server asked for.
        """
        self._settle(online_for)
        return Again(at_least + self._backoff.next())

    def closed(self, code: int, online_for: float = 0.0) -> Again | Stop:
        """The server closed with `code` (1006: without one)."""
        self._settle(online_for)
        if code in (CloseCode.UNAUTHENTICATED, CloseCode.REVOKED):
            return self.unauthenticated()
        if 4500 <= code <= 4999:
            return Stop(f"the server closed the connection for good: {_name(code)}")
        return Again(self._backoff.next())

    def unauthenticated(self) -> Again | Stop:
        """The server did not accept the token: one fresh one may do, two in a row say no."""
        if self._token_refused:
            return Stop("the server refuses this node, even with a fresh token")
        self._token_refused = True
        return Again(self._backoff.next(), fresh_token=True)

    def accepted(self) -> None:
        """The server welcomed the node."""
        self._token_refused = False

    def _settle(self, online_for: float) -> None:
        if online_for >= STABLE_AFTER:
            self._backoff.reset()


def _name(code: int) -> str:
    try:
        return f"{code} ({CloseCode(code).name.lower().replace('_', ' ')})"
    except ValueError:
        return str(code)


def decode(data: bytes) -> AnyServerMessage | None:
    """Read a msgpack message; None for a kind that this agent does not know.

    Raises:
        msgspec.DecodeError: it is no message at all.
    """
    try:
        message: AnyServerMessage = msgpack_decode_server(data)
    except msgspec.ValidationError:
        # Servers may gain kinds of messages; a node that does not know one goes on without.
        return None
    return message

"""The node connections of a worker: challenges, the uptime they confirm, and what else is seen of nodes.

A node is challenged when it connects and at random times after that. An answer in time, signed by the
node's key, confirms the time since the answer before it (since the connection opened, for the first).
A missed or wrong answer confirms nothing: counting starts anew with the next right one. Time after the
last answer is not confirmed. What counts is when an answer came; its signature is verified later, beside
the event loop. With each challenge goes a ping, whose pong measures the round trip.

A node's own clock counts nowhere. Our wall clock, set back, confirms nothing until it has caught up.
"""

import os
import random
from collections.abc import Callable
from datetime import timedelta
from enum import IntEnum
from uuid import UUID

from core.clock import Clock
from core.config import Network
from core.engine.tally import Tally
from core.engine.verifier import Verifier, is_good
from core.errors import CloseCode, InvalidInput, Refusal, Unauthenticated
from core.messages import Beat, Challenge, ChallengeReply, challenge_bytes
from core.metrics import Metrics
from ext.hub import Hub
from storage.base import Closed, Described, Health, Opened, Record

# Groups of nodes that report one after the other, at most.
MAX_TURNS = 1000
# Report intervals after which a node of which there is nothing to report gives a sign of life.
SILENT_INTERVALS = 10
# So many challenges in a row decide whether a node is sound.
STREAK = 2
# Reports of a node that wait for their turn; beyond it they are handed on at once.
MAX_WAITING = 64
# Milliseconds' worth of traffic that a node may tell of at once: it moved it while it was away.
BURST_MS = 60_000
# Close codes of ends that a peer chose, or that just happened (RFC 6455 §7.4.1).
THEIR_CODES = range(1000, 1007)


class _Stage(IntEnum):
    """What became of the newest challenge."""

    NONE = 0
    OPEN = 1
    ANSWERED = 2
    MISSED = 3


class _Node(Tally):
    """One connection of a node. `confirmed_ms` is up to when it is confirmed, None if it is not.

    `signed` is an answer whose signature is being verified, which came at `answered_ms`. `streak` counts
    challenges passed in a row, below zero failed ones. `failing`: one was failed, and no second has been
    confirmed since. `traffic_until` is up to when, by the hub's clock, what the node says it moved takes at
    the greatest rate; `unchecked` bytes, a second's worth at most, are not in it.
    """

    key: bytes = b""
    confirmed_ms: int | None = None
    nonce: bytes = b""
    stage: _Stage = _Stage.NONE
    measured: bool = False
    signed: bytes | None = None
    answered_ms: int = 0
    streak: int = 0
    sound: bool = True
    failing: bool = False
    leaving: bool = False
    traffic_until: float = 0.0
    unchecked: int = 0
    reported_ms: int = 0
    agent_version: str = ""
    told_version: str = ""


class NodeConnections:
    """Follows the nodes' connections by their handles and records what it sees.

    `record` takes one observation at once; sums wait for `due`. `send` and `refuse` tell a client something.
    """

    def __init__(
        self,
        *,
        settings: Network,
        clock: Clock,
        hub: Hub,
        record: Callable[[Record], None],
        send: Callable[[int, Challenge], None],
        refuse: Callable[[int, Refusal], None],
    ) -> None:
        self._interval_ms = settings.challenge_interval * 1000
        self._timeout = timedelta(seconds=settings.challenge_timeout)
        # Bytes that a node can move in a second.
        self._second = settings.max_rate / 8
        self._silence_ms = settings.report_interval * 1000 * SILENT_INTERVALS
        self._clock = clock
        self._now_ms = clock.now_ms
        self._hub = hub
        self._record = record
        self._send = send
        self._refuse = refuse
        self._verifier = Verifier(self._verified)
        # The nodes by the turn in which they report. Handles are spread evenly, whoever comes when.
        turns = min(max(1, round(settings.report_interval / settings.flush_interval)), MAX_TURNS)
        turns = 1 << (turns - 1).bit_length()
        self._mask = turns - 1
        self._turn_ms = settings.report_interval * 1000 / turns
        self._turns: list[dict[int, _Node]] = [{} for _ in range(turns)]
        self._turn = self._now_turn()
        self._due: list[int] = []
        # By turn: no second before it will be confirmed by those who were in the turn when it was walked
        # last, or have come since; and the same of the walk that is under way.
        now_ms = clock.now_ms()
        self._bounds = [now_ms] * turns
        self._bound = now_ms
        # Wall clock and monotonic clock when `settled_ms` was asked for last.
        self._asked = now_ms, hub.now_ms()
        self._count = 0
        self.answered = 0
        self.missed = 0
        self.replayed = 0
        self.late = 0
        self.foreign = 0
        self.forged = 0
        self.refused_beats = 0
        self.round_trips = 0

    def __len__(self) -> int:
        return self._count

    # --- connections come and go ----------------------------------------------------------------

    def opened(
        self, handle: int, node_id: UUID, connection_id: UUID, public_key: bytes, address: str
    ) -> None:
        """An authenticated connection of a node begins; it is challenged at once."""
        now_ms = self._clock.now_ms()
        monotonic_ms = self._hub.now_ms()
        node = _Node(node_id, connection_id, key=public_key, confirmed_ms=now_ms)
        node.traffic_until = monotonic_ms - BURST_MS
        node.reported_ms = monotonic_ms
        if not self._count:
            self._bounds = [now_ms] * len(self._turns)
        self._turn_of(handle)[handle] = node
        self._count += 1
        self._record(Opened(node_id, connection_id, now_ms, address))
        self._challenge(handle, node)

    def told_to_leave(self, handle: int) -> None:
        """The server drains: however the connection ends now, that is our doing."""
        node = self._find(handle)
        if node is not None:
            node.leaving = True

    def closed(self, handle: int, code: int) -> None:
        """The connection ended, with a code as the hub tells it; unknown handles are ignored."""
        node = self._turn_of(handle).pop(handle, None)
        if node is None:
            return
        self._count -= 1
        self._settle(handle, node)
        self._hand_on(node)
        now_ms = self._clock.now_ms()
        if node.leaving and code in THEIR_CODES:
            code = CloseCode.DRAIN
        # A pause of our making counts from the last confirmed second on: this node has failed since then.
        if code == CloseCode.DRAIN and node.failing and node.sound:
            self._set_health(node, now_ms, sound=False)
        self._record(Closed(node.node_id, node.connection_id, now_ms, code))

    def close(self) -> None:
        """Release the thread, once all connections are closed."""
        self._verifier.close()

    # --- reports --------------------------------------------------------------------------------

    def due(self, limit: int) -> list[Record]:
        """What is to be reported by now, about `limit` records at most; ask again until there are none.

        Each node is due once in a report interval. Whoever asks late, or not for a while, gets sums of more
        time; nothing is lost.
        """
        records: list[Record] = []
        turn = self._now_turn()
        monotonic_ms = self._hub.now_ms()
        while len(records) < limit:
            if self._due:
                handle = self._due.pop()
                node = self._find(handle)
                if node is not None:
                    self._report(node, monotonic_ms, records)
                    self._bound = min(self._bound, _unreported_from(node, self._bound))
            elif self._turn < turn:
                self._turn = max(self._turn, turn - len(self._turns)) + 1
                self._due = list(self._turns[self._turn & self._mask])
                self._bound = self._clock.now_ms()
            else:
                break
            if not self._due:
                self._bounds[self._turn & self._mask] = self._bound
        return records

    def settled_ms(self) -> int:
        """No second before this, in milliseconds since the epoch, will be in what is told from now on.

        What was told until now is what `due` returned and what was recorded. It goes back if the clock does.
        """
        now_ms, monotonic_ms = self._clock.now_ms(), self._hub.now_ms()
        asked_ms, asked_monotonic_ms = self._asked
        self._asked = now_ms, monotonic_ms
        # When that was, by the clock as it goes now: what happened since then was not before it.
        since_ms = now_ms - (monotonic_ms - asked_monotonic_ms)
        if since_ms < asked_ms:
            self._bounds = [min(bound, since_ms) for bound in self._bounds]
            self._bound = min(self._bound, since_ms)
        settled_ms = min(now_ms, *self._bounds) if self._count else now_ms
        # Seconds are confirmed as a whole.
        return settled_ms - settled_ms % 1000

    def _report(self, node: _Node, monotonic_ms: int, records: list[Record]) -> None:
        if node.agent_version != node.told_version:
            records.append(self._described(node))
        if node.waiting:
            records += node.take(self._clock.now_ms())
        elif monotonic_ms - node.reported_ms >= self._silence_ms:
            records.append(node.sign_of_life(self._clock.now_ms()))
        else:
            return
        node.reported_ms = monotonic_ms

    def _hand_on(self, node: _Node) -> None:
        """Record all that waits for its turn."""
        records: list[Record] = []
        self._report(node, node.reported_ms, records)
        for record in records:
            self._record(record)

    def _described(self, node: _Node) -> Described:
        node.told_version = node.agent_version
        return Described(node.node_id, node.connection_id, node.agent_version)

    def _now_turn(self) -> int:
        return int(self._hub.now_ms() / self._turn_ms)

    def _turn_of(self, handle: int) -> dict[int, _Node]:
        # Its lowest bits are those of the slot's number, and low numbers are taken first.
        return self._turns[handle & self._mask]

    def _find(self, handle: int) -> _Node | None:
        return self._turns[handle & self._mask].get(handle)

    def _get(self, handle: int) -> _Node:
        node = self._turns[handle & self._mask].get(handle)
        if node is None:
            raise _not_a_node()
        return node

    # --- beats ----------------------------------------------------------------------------------

    def beat(self, handle: int, beat: Beat) -> None:
        """Add a beat to the node's sums.

        Raises:
            InvalidInput: "not_a_node"; "impossible_beat" for more bytes than a node can have moved.
        """
        # Without `_get`: nothing else comes as often.
        node = self._turns[handle & self._mask].get(handle)
        if node is None:
            raise _not_a_node()
        now_ms = self._now_ms()
        up, down = beat.bytes_up, beat.bytes_down
        unchecked = node.unchecked + (up if up > down else down)
        if unchecked > self._second:
            self._check_traffic(node, unchecked, now_ms)
            unchecked = 0
        node.unchecked = unchecked
        sums = node.at(now_ms)
        sums.bytes_up += up
        sums.bytes_down += down
        if beat.errors:
            sums.errors += beat.errors
        if beat.agent_version != node.agent_version:
            node.agent_version = beat.agent_version
            # Later changes wait for a report: a node could send another version with every beat.
            if not node.told_version:
                self._record(self._described(node))

    def _check_traffic(self, node: _Node, size: int, now_ms: int) -> None:
        """Refuse what takes longer at the greatest rate than there was time for since the last beats."""
        monotonic_ms = self._hub.now_ms()
        until = max(node.traffic_until, monotonic_ms - BURST_MS) + 1000 * size / self._second
        if until > monotonic_ms:
            self.refused_beats += 1
            node.at(now_ms).refused += 1
            raise InvalidInput("impossible_beat", "No node moves so many bytes in so little time.")
        node.traffic_until = until

    # --- challenges -----------------------------------------------------------------------------

    def on_alarm(self, handle: int) -> None:
        """A challenge is due, or the answer to one is overdue."""
        node = self._find(handle)
        if node is None:
            return
        self._settle(handle, node)
        self._measure(handle, node)
        if node.stage is not _Stage.OPEN:
            self._challenge(handle, node)
            return
        now_ms = self._clock.now_ms()
        node.stage = _Stage.MISSED
        node.confirmed_ms, node.failing = None, True
        self.missed += 1
        node.at(now_ms).missed += 1
        self._failed(node, now_ms)
        self._wait(handle)

    def reply(self, handle: int, reply: ChallengeReply) -> None:
        """Take the answer to a challenge. If its signature turns out to be wrong, `refuse` is told.

        Raises:
            InvalidInput: "not_a_node"; "challenge_unknown" for an answer that is late, repeated or to
                another's nonce.
        """
        node = self._get(handle)
        now_ms = self._clock.now_ms()
        if node.stage is not _Stage.OPEN or node.nonce != reply.nonce:
            self._refuse_reply(node, reply, now_ms)
        node.stage = _Stage.ANSWERED
        self._measure(handle, node)
        self._wait(handle)
        node.answered_ms = now_ms
        node.signed = reply.signature + challenge_bytes(reply.nonce, node.node_id, node.connection_id)
        self._verifier.put((handle, node.signed), node.key, node.signed)

    def _refuse_reply(self, node: _Node, reply: ChallengeReply, now_ms: int) -> None:
        """Count the answer against the node."""
        node.at(now_ms).refused += 1
        if node.nonce == reply.nonce and node.stage is _Stage.MISSED:
            # The challenge has failed already: that it is late does not make it another one.
            self.late += 1
            detail = "The challenge was to be answered before its deadline."
        elif node.nonce == reply.nonce:
            self.replayed += 1
            self._failed(node, now_ms)
            detail = "The challenge was answered already."
        else:
            self.foreign += 1
            self._failed(node, now_ms)
            detail = "No such challenge is open."
        raise InvalidInput("challenge_unknown", detail)

    def _challenge(self, handle: int, node: _Node) -> None:
        node.nonce = os.urandom(32)
        node.stage = _Stage.OPEN
        node.measured = False
        self._hub.take_rtt_us(handle)
        self._hub.set_alarm(handle, self._hub.now_ms() + round(self._timeout.total_seconds() * 1000))
        self._hub.ping(handle)
        self._send(handle, Challenge(node.nonce, self._clock.now() + self._timeout))

    def _wait(self, handle: int) -> None:
        """Let the next challenge come after half to one and a half of the mean interval."""
        pause = self._interval_ms * random.uniform(0.5, 1.5)  # noqa: S311 - the nonce is the secret
        self._hub.set_alarm(handle, self._hub.now_ms() + round(pause))

    def _measure(self, handle: int, node: _Node) -> None:
        """Take the round trip that was measured since the last challenge went out."""
        if node.measured:
            return
        rtt_us = self._hub.take_rtt_us(handle)
        if rtt_us is not None:
            node.measured = True
            self.round_trips += 1
            node.measure(self._clock.now_ms(), rtt_us)

    # --- verdicts -------------------------------------------------------------------------------

    def _verified(self, item: tuple[int, bytes], good: bool) -> None:
        handle, signed = item
        node = self._find(handle)
        # If not, it was settled meanwhile.
        if node is not None and node.signed is signed:
            self._judge(handle, node, good)

    def _settle(self, handle: int, node: _Node) -> None:
        """Judge the answer that is being verified without waiting for it, if there is one."""
        if node.signed is not None:
            self._judge(handle, node, is_good(node.key, node.signed))

    def _judge(self, handle: int, node: _Node, good: bool) -> None:
        """Draw the consequences of an answer, as of when it came."""
        at_ms = node.answered_ms
        node.signed = None
        if not good:
            self.forged += 1
            node.confirmed_ms, node.failing = None, True
            node.at(at_ms).refused += 1
            self._failed(node, at_ms)
            self._refuse(handle, Unauthenticated("wrong_signature", "The signature is not this node's."))
            return
        self.answered += 1
        node.at(at_ms).answered += 1
        if node.confirmed_ms is not None:
            node.confirm(node.confirmed_ms, at_ms)
            node.failing = node.failing and at_ms // 1000 <= node.confirmed_ms // 1000
        node.confirmed_ms = at_ms if node.confirmed_ms is None else max(node.confirmed_ms, at_ms)
        node.streak = max(node.streak, 0) + 1
        if node.streak >= STREAK and not node.sound:
            self._set_health(node, at_ms, sound=True)
        if node.waiting >= MAX_WAITING:
            self._hand_on(node)

    def _failed(self, node: _Node, at_ms: int) -> None:
        """The node did not do what an honest one does."""
        node.streak = min(node.streak, 0) - 1
        if node.streak <= -STREAK and node.sound:
            self._set_health(node, at_ms, sound=False)

    def _set_health(self, node: _Node, at_ms: int, *, sound: bool) -> None:
        node.sound = sound
        self._record(Health(node.node_id, node.connection_id, at_ms, sound))

    # --- figures --------------------------------------------------------------------------------

    def metrics(self) -> Metrics:
        """What happened so far and how it stands."""
        return {
            "connections_nodes": len(self),
            "challenges_answered_total": self.answered,
            "challenges_missed_total": self.missed,
            "challenges_refused_total": self.replayed + self.late + self.foreign + self.forged,
            "challenges_replayed_total": self.replayed,
            "challenges_late_total": self.late,
            "challenges_foreign_total": self.foreign,
            "challenges_forged_total": self.forged,
            "challenges_unverified": len(self._verifier),
            "round_trips_total": self.round_trips,
            "beats_refused_total": self.refused_beats,
        }


def _unreported_from(node: _Node, now_ms: int) -> int:
    """From when on a node of which all is reported can be confirmed by later answers."""
    if node.confirmed_ms is not None:
        return node.confirmed_ms
    return now_ms if node.signed is None else node.answered_ms


def _not_a_node() -> InvalidInput:
    return InvalidInput("not_a_node", "Only nodes send this.")

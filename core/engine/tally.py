"""What is added up of a connection of a node between two reports of it.

Confirmed time is kept in whole seconds: both ends of an interval are rounded down, so that intervals which
follow each other still do, and their sum is never more than the time that passed.
"""

from uuid import UUID

from msgspec import Struct

from storage.base import Report
from storage.rtt import BUCKETS, MOST, bucket

HOUR_S = 3600
HOUR_MS = 3_600_000
# No two answers of a node that may count are so far apart: it is our own clock that was set forward.
MAX_SPAN_MS = 2 * HOUR_MS
# Errors that a report tells of at most; they are a node's own claims.
MAX_ERRORS = 1_000_000_000


class Sums(Struct):
    """Sums within one hour, counted from the epoch; `start` and `end` are seconds of it."""

    hour: int
    start: int = 0
    end: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0
    answered: int = 0
    missed: int = 0
    refused: int = 0
    rtt: bytearray | None = None


class Tally(Struct):
    """The sums of one connection that were not reported yet.

    `rtt_us` is its newest round trip, 0 before the first.
    """

    node_id: UUID
    connection_id: UUID
    rtt_us: int = 0
    # Sixteenths of a microsecond (RFC 3550, A.8).
    _jitter: int = 0
    _samples: int = 0
    _samples_hour: int = 0
    _sums: list[Sums] = []

    @property
    def waiting(self) -> int:
        """How many reports it takes to tell everything."""
        return len(self._sums)

    def confirm(self, from_ms: int, to_ms: int) -> None:
        """The node was there from `from_ms` to `to_ms`; nothing if that is not after it."""
        if to_ms - from_ms > MAX_SPAN_MS:
            return
        second, end = from_ms // 1000, to_ms // 1000
        while second < end:
            hour = second // HOUR_S
            edge = min(end, (hour + 1) * HOUR_S)
            self._add_seconds(hour, second - hour * HOUR_S, edge - hour * HOUR_S)
            second = edge

    def at(self, at_ms: int) -> Sums:
        """The newest sums of the hour of a moment; counts of that moment may be added to them."""
        hour = at_ms // HOUR_MS
        waiting = self._sums
        if waiting:
            newest = waiting[-1]
            if newest.hour == hour:
                return newest
        # There are others only around a full hour, or while reports have to wait.
        for sums in reversed(waiting):
            if sums.hour == hour:
                return sums
        waiting.append(Sums(hour))
        return waiting[-1]

    def measure(self, at_ms: int, rtt_us: int) -> None:
        """A round trip took `rtt_us`; the first `MOST` of an hour go into its histogram."""
        if self.rtt_us:
            self._jitter += abs(rtt_us - self.rtt_us) - ((self._jitter + 8) >> 4)
        self.rtt_us = rtt_us
        hour = at_ms // HOUR_MS
        if hour != self._samples_hour:
            self._samples_hour, self._samples = hour, 0
        if self._samples < MOST:
            self._samples += 1
            sums = self.at(at_ms)
            if sums.rtt is None:
                sums.rtt = bytearray(BUCKETS)
            sums.rtt[bucket(rtt_us)] += 1

    def take(self, at_ms: int) -> list[Report]:
        """The reports of all sums, which begin anew."""
        taken, self._sums = self._sums, []
        return [self._report(sums, at_ms) for sums in taken]

    def sign_of_life(self, at_ms: int) -> Report:
        """A report of nothing but that the connection is open."""
        return self._report(Sums(at_ms // HOUR_MS), at_ms)

    def _report(self, sums: Sums, at_ms: int) -> Report:
        return Report(
            self.node_id,
            self.connection_id,
            sums.hour,
            sums.start,
            sums.end,
            at_ms // 1000,
            sums.bytes_up,
            sums.bytes_down,
            min(sums.errors, MAX_ERRORS),
            sums.answered,
            sums.missed,
            sums.refused,
            b"" if sums.rtt is None else bytes(sums.rtt),
            self.rtt_us,
            self._jitter >> 4,
        )

    def _add_seconds(self, hour: int, start: int, end: int) -> None:
        sums = self.at(hour * HOUR_MS)
        if sums.start == sums.end:
            sums.start, sums.end = start, end
        elif sums.end == start:
            sums.end = end
        else:
            self._sums.append(Sums(hour, start, end))

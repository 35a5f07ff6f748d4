"""Time and identity, injected so that tests can hold them still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import uuid_utils


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...

    def now_ms(self) -> int:
        """The current time in whole milliseconds since the epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def now_ms(self) -> int:
        return to_ms(self._now)

    def advance(self, delta: timedelta) -> None:
        """Move forward by `delta`."""
        self._now += delta


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562 §5.7): sorts by creation time."""
    return UUID(int=uuid_utils.uuid7().int)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """The UTC time `milliseconds` after the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def monotonic_ms() -> int:
    """Milliseconds on a clock that never goes back; its zero means nothing."""
    return time.monotonic_ns() // 1_000_000

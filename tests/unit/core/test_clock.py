import time
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock, SystemClock, from_ms, monotonic_ms, new_id, to_ms


def test_the_system_clock_is_in_utc() -> None:
    before = time.time()
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before - 1 <= now.timestamp() <= time.time() + 1


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.advance(timedelta(hours=1))
    assert clock.now() == datetime(2026, 1, 1, 1, tzinfo=UTC)


def test_ids_sort_by_their_making_and_are_version_7() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1000
    assert {made.version for made in ids} == {7}
    assert abs((ids[0].int >> 80) - time.time() * 1000) < 5000


@given(st.integers(0, 253_402_300_799_999))
def test_milliseconds_survive_the_way_there_and_back(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds


def test_a_moment_is_the_same_in_any_zone() -> None:
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert to_ms(moment) == to_ms(datetime(2026, 1, 1, tzinfo=UTC))


def test_the_monotonic_clock_never_goes_back() -> None:
    readings = [monotonic_ms() for _ in range(100)]
    assert readings == sorted(readings)

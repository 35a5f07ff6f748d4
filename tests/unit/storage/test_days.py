"""Hours and days, counted from the epoch."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from storage.days import day_numbered, hour_of, number_of, seconds_by_minute, start_of_hour


@given(st.dates(date(1970, 1, 1), date(2200, 1, 1)))
def test_a_day_is_found_by_its_number(day: date) -> None:
    assert day_numbered(number_of(day)) == day
    assert hour_of(datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)) == number_of(day) * 24 + 23


@given(st.integers(0, 2_000_000))
def test_an_hour_is_found_by_its_start(hour: int) -> None:
    assert hour_of(start_of_hour(hour)) == hour


@given(st.sets(st.integers(0, 3599)))
def test_minutes_have_as_many_seconds_as_a_set_of_seconds(seconds: set[int]) -> None:
    spans = [(second, second + 1) for second in sorted(seconds)]
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    expected: dict[int, int] = {}
    for second in sorted(seconds):
        expected[second // 60] = expected.get(second // 60, 0) + 1
    assert seconds_by_minute(joined) == expected

"""Periods are those of a person's own calendar."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from services.periods import MOST_POINTS, Period, edges, end_of, start_of

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})
PERIODS: list[Period] = ["hour", "day", "week", "month"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lengths(marks: list[datetime]) -> list[int]:
    return [(then - first) // timedelta(hours=1) for first, then in pairwise(marks)]


def test_a_day_has_23_or_25_hours_when_the_clock_changes() -> None:
    spring = edges(at("2026-03-28T12:00"), at("2026-03-30T12:00"), "day", BERLIN)
    autumn = edges(at("2026-10-24T12:00"), at("2026-10-26T12:00"), "day", BERLIN)
    assert (spring[0], lengths(spring)) == (at("2026-03-27T23:00"), [24, 23, 24])
    assert (autumn[0], lengths(autumn)) == (at("2026-10-23T22:00"), [24, 25, 24])


def test_a_day_without_a_midnight_begins_with_its_first_moment() -> None:
    found = edges(at("2018-11-03T12:00"), at("2018-11-05T03:00"), "day", ZoneInfo("America/Sao_Paulo"))
    assert (found[1], lengths(found)) == (at("2018-11-04T03:00"), [24, 23, 24])


def test_a_day_that_was_skipped_is_none() -> None:
    found = edges(at("2011-12-29T12:00"), at("2012-01-01T12:00"), "day", ZoneInfo("Pacific/Apia"))
    assert found == sorted(set(found))
    assert (len(found), at("2011-12-30T10:00") in found) == (5, True)


def test_a_week_begins_on_monday() -> None:
    found = edges(at("2026-11-23T10:00"), at("2026-11-23T11:00"), "week", BERLIN)
    assert found == [at("2026-11-22T23:00"), at("2026-11-29T23:00")]
    sunday = edges(at("2026-11-22T22:59"), at("2026-11-22T23:00"), "week", BERLIN)
    assert sunday == [at("2026-11-15T23:00"), at("2026-11-22T23:00")]


def test_a_month_is_as_long_as_it_is() -> None:
    found = edges(at("2026-01-31T12:00"), at("2026-03-01T00:00"), "month", ZoneInfo("UTC"))
    assert lengths(found) == [31 * 24, 28 * 24]


@given(
    st.integers(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
    st.sampled_from(PERIODS),
    st.sampled_from(ZONES),
)
def test_a_moment_lies_in_its_period_and_the_next_begins_where_it_ends(
    moment: datetime, period: Period, name: str
) -> None:
    zone = ZoneInfo(name)
    start = start_of(moment, period, zone)
    end = end_of(start, period, zone)
    assert start <= moment < end
    assert start_of(start, period, zone) == start
    assert start_of(end, period, zone) == end
    assert start_of(end - timedelta(microseconds=1), period, zone) == start


def test_there_is_a_limit() -> None:
    start = at("2026-01-01T00:00")
    assert len(edges(start, start + timedelta(days=MOST_POINTS), "day", ZoneInfo("UTC"))) == MOST_POINTS + 1
    with pytest.raises(InvalidInput) as refused:
        edges(start, start + timedelta(days=MOST_POINTS, seconds=1), "day", ZoneInfo("UTC"))
    assert (refused.value.code, refused.value.extra) == ("range_too_long", {"most_points": MOST_POINTS})


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime.max.replace(tzinfo=UTC) - timedelta(minutes=1), datetime.max.replace(tzinfo=UTC)),
        (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC) + timedelta(minutes=1)),
        (at("2026-01-01T00:00"), at("2026-01-01T00:00")),
    ],
)
def test_what_is_no_range_is_refused(period: Period, start: datetime, end: datetime) -> None:
    if period == "hour" and start.year == 1:
        assert edges(start, end, period, ZoneInfo("America/New_York")) == [start, start + timedelta(hours=1)]
        return
    with pytest.raises(InvalidInput) as refused:
        edges(start, end, period, ZoneInfo("America/New_York"))
    assert refused.value.code == "range_invalid"

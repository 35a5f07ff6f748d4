"""Hours, days, weeks and months as a person's calendar has them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from core.errors import InvalidInput

Period = Literal["hour", "day", "week", "month"]

#: Periods that a series has at most.
MOST_POINTS = 400

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def start_of(moment: datetime, period: Period, zone: ZoneInfo) -> datetime:
    """When the period that `moment` is in began, in UTC.

    Hours are those of UTC, as epochs are; days begin at midnight in `zone`, weeks with a Monday. Where there
    is no midnight that day, it begins with its first moment.

    Raises:
        OverflowError: it is outside the calendar.
    """
    if period == "hour":
        return moment - (moment - _1970) % _HOUR
    return _midnight(_first_day(moment.astimezone(zone).date(), period), zone)


def end_of(start: datetime, period: Period, zone: ZoneInfo) -> datetime:
    """When the period that began at `start` ends and the next begins, in UTC.

    Raises:
        OverflowError: it is outside the calendar.
    """
    if period == "hour":
        return start + _HOUR
    # A month and a day later is in the next one, whatever their lengths.
    reach = {"day": 1, "week": 7, "month": 31}[period]
    day = start.astimezone(zone).date() + timedelta(days=reach)
    return _midnight(_first_day(day, period), zone)


def edges(start: datetime, end: datetime, period: Period, zone: ZoneInfo) -> list[datetime]:
    """Where the periods from `start` to `end` begin, and where the last one ends, in UTC.

    Raises:
        InvalidInput: "range_invalid" or "range_too_long".
    """
    if end <= start:
        raise InvalidInput("range_invalid", "The end of the range must be later than its start.")
    try:
        found = list(_walk(start, end, period, zone))
    except (OverflowError, ValueError):
        raise InvalidInput("range_invalid", "The range is outside the calendar.") from None
    if len(found) > MOST_POINTS + 1:
        raise InvalidInput(
            "range_too_long",
            f"The range has more than {MOST_POINTS} steps: ask for less, or for longer steps.",
            most_points=MOST_POINTS,
        )
    return found


def _walk(start: datetime, end: datetime, period: Period, zone: ZoneInfo) -> Iterator[datetime]:
    edge = start_of(start, period, zone)
    yield edge
    # One more than there may be, so that the caller can tell.
    for _ in range(MOST_POINTS + 1):
        if edge >= end:
            return
        edge = end_of(edge, period, zone)
        yield edge


def _first_day(day: date, period: Period) -> date:
    if period == "week":
        return day - day.weekday() * _DAY
    return day.replace(day=1) if period == "month" else day


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Of a midnight that is skipped, fold 0 is the moment of the change (PEP 495).
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)

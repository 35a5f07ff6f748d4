"""Hours and days as the stores count them: from the epoch, in UTC."""

from datetime import UTC, date, datetime, timedelta

EPOCH = date(1970, 1, 1)
HOUR_S = 3600
DAY_HOURS = 24


def hour_of(moment: datetime) -> int:
    """The number of the hour that `moment` is in."""
    return int(moment.timestamp()) // HOUR_S


def start_of_hour(hour: int) -> datetime:
    """When an hour begins."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC)


def number_of(day: date) -> int:
    """The number of a day."""
    return (day - EPOCH).days


def day_numbered(number: int) -> date:
    """The day with a number."""
    return EPOCH + timedelta(days=number)


def seconds_by_minute(spans: list[tuple[int, int]]) -> dict[int, int]:
    """The seconds that each minute of an hour has of disjoint spans; those without are left out."""
    minutes: dict[int, int] = {}
    for start, end in spans:
        for minute in range(start // 60, -(-end // 60)):
            seconds = min(end, (minute + 1) * 60) - max(start, minute * 60)
            minutes[minute] = minutes.get(minute, 0) + seconds
    return minutes

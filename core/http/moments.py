"""Points in time within a query."""

from datetime import UTC, datetime

import msgspec

from core.errors import InvalidInput


def moment(text: str | None, name: str) -> datetime | None:
    """The time (RFC 3339) that `text` says, in UTC; without an offset it is taken for UTC.

    Not left to the framework: that takes any number for seconds since 1970.

    Raises:
        InvalidInput: "invalid_input" naming the parameter `name`; "range_invalid".
    """
    if text is None:
        return None
    try:
        found = msgspec.convert(text, datetime)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except msgspec.ValidationError:
        raise InvalidInput("invalid_input", f"{name}: must be a time as of RFC 3339.", field=name) from None
    except OverflowError:
        raise InvalidInput("range_invalid", "The range is outside the calendar.") from None

"""Languages and time zones, in the form in which a profile has them."""

import re
from functools import cache
from zoneinfo import available_timezones

from core.errors import InvalidInput

# The part of BCP 47 that tells languages, scripts and regions apart (RFC 5646 §2.1).
_LOCALE = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?\Z", re.IGNORECASE)


def normal_locale(text: str) -> str:
    """A language, script and region as RFC 5646 §2.1.1 writes them: "de-AT", "zh-Hant-TW".

    Raises:
        InvalidInput: "invalid_input", field "locale".
    """
    found = _LOCALE.match(text) if text.isascii() else None
    if found is None:
        raise InvalidInput("invalid_input", "locale: is no language tag like en or de-AT.", field="locale")
    language, script, region = found.groups()
    parts = [language.lower(), script and script.title(), region and region.upper()]
    return "-".join(part for part in parts if part)


def known_time_zone(text: str) -> str:
    """An IANA time zone: "Europe/Vienna".

    Raises:
        InvalidInput: "invalid_input", field "time_zone".
    """
    if text not in _time_zones():
        raise InvalidInput(
            "invalid_input", "time_zone: is no time zone like Europe/Vienna.", field="time_zone"
        )
    return text


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime", "posixrules", "Factory"}

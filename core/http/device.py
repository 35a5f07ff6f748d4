"""The cookie by which a browser is known again: whoever invites themselves mostly does it from one."""

import re
import secrets
from typing import Any

from litestar import Request
from litestar.datastructures import Cookie
from msgspec import Struct

NAME = "pulseboard_device"
# Browsers keep none for longer (RFC 6265bis §5.5).
MAX_AGE = 400 * 86400

_VALUE = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")


class DeviceCookie(Struct, frozen=True):
    """A random name for a browser, out of reach of scripts and of other sites. It opens nothing."""

    path: str
    secure: bool

    def taken(self, request: Request[Any, Any, Any]) -> str | None:
        """The name that came with a request; None if there is none that may be ours."""
        value = request.cookies.get(NAME)
        return value if value and _VALUE.match(value) else None

    def new(self) -> str:
        """A name that no browser has yet."""
        return secrets.token_urlsafe(16)

    def holding(self, value: str) -> Cookie:
        """The cookie that stores `value`."""
        return Cookie(
            key=NAME,
            value=value,
            max_age=MAX_AGE,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )

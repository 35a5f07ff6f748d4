"""The cookie that holds a browser's refresh token, and who may make a browser send it.

Every request that is answered because of the cookie must come from our own page (CSRF). Browsers say so
in headers that no page can set: `Sec-Fetch-Site` (W3C Fetch Metadata), else `Origin` (RFC 6454). What
says neither, a program, sends `X-Pulseboard-CSRF: 1`, which another site's form cannot.
"""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie, Headers
from msgspec import Struct

from core.errors import Forbidden
from core.http.cors import normal_origin

NAME = "pulseboard_refresh"
CSRF_HEADER = "x-pulseboard-csrf"


class RefreshCookie(Struct, frozen=True):
    """Where a browser keeps its refresh token: out of reach of scripts and of other sites."""

    name: str
    path: str
    secure: bool
    max_age: int
    origin: str | None = None

    @classmethod
    def of_site(cls, public_url: str, path: str, max_age: int) -> "RefreshCookie":
        """The cookie of a site at `public_url`, for addresses below `path`; `max_age` is in seconds.

        Over https the name begins with ``__Host-``: browsers then take it from this very host only, with
        `Secure` and for the whole host (RFC 6265bis §4.1.3.2).
        """
        url = urlsplit(public_url)
        origin = normal_origin(f"{url.scheme}://{url.netloc}") if url.netloc else None
        if url.scheme == "https":
            return cls(f"__Host-{NAME}", "/", True, max_age, origin)
        return cls(NAME, path, False, max_age, origin)

    def holding(self, refresh_token: str) -> Cookie:
        """The cookie that stores `refresh_token`."""
        return self._cookie(refresh_token, self.max_age)

    def gone(self) -> Cookie:
        """The cookie that removes it."""
        return self._cookie("", 0)

    def taken(self, request: Request[Any, Any, Any]) -> str | None:
        """The refresh token that came with a request, None if there is none.

        Raises:
            Forbidden: "csrf", the request comes from another site's page, or does not say where from.
        """
        stored = request.cookies.get(self.name)
        if not stored:
            return None
        if not self._from_own_page(request.headers):
            raise Forbidden(
                "csrf", "The cookie serves our own page only; a program sends `X-Pulseboard-CSRF: 1`."
            )
        return stored

    def _from_own_page(self, headers: Headers) -> bool:
        marked = headers.getall(CSRF_HEADER, []) == ["1"]
        site = headers.getall("sec-fetch-site", [])
        if site:
            # "none": no page at all, but the person at the browser.
            return site == ["same-origin"] or (site == ["none"] and marked)
        origin = headers.getall("origin", [])
        if origin:
            host = headers.get("host", "").lower()
            own = {self.origin, f"http://{host}", f"https://{host}"}
            return len(origin) == 1 and origin[0].lower() in own
        return marked

    def _cookie(self, value: str, max_age: int) -> Cookie:
        return Cookie(
            key=self.name,
            value=value,
            max_age=max_age,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )

"""Calls from pages of other sites (CORS, WHATWG Fetch §3.3): only those on the allow-list."""

from collections.abc import Iterable, Mapping

METHODS = b"GET, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = b"authorization, content-type, idempotency-key, if-match, if-none-match, x-request-id"
EXPOSED = (
    b"etag, idempotency-replayed, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id"
)
# Seconds a browser may remember what a preflight said.
MAX_AGE = b"7200"

Headers = list[tuple[bytes, bytes]]

_VARY: Headers = [(b"vary", b"origin")]


class Cors:
    """Tells browsers which sites' pages may read the API's answers.

    Cookies are never allowed along: they are `SameSite=Strict`, and such pages bring a bearer token.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        """`origins` are "scheme://host[:port]"."""
        self._allowed = {normal_origin(origin).encode() for origin in origins}

    def headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """What goes with the answer to a request with these headers."""
        if not self._allowed:
            return []
        origin = headers.get(b"origin", b"")
        if origin not in self._allowed:
            return _VARY
        return [
            *_VARY,
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
        ]

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """The answer to a browser that asks first, or None if this is no such question."""
        if method != "OPTIONS" or b"access-control-request-method" not in headers:
            return None
        if headers.get(b"origin", b"") not in self._allowed:
            return []
        return [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", REQUEST_HEADERS),
            (b"access-control-max-age", MAX_AGE),
        ]


def normal_origin(origin: str) -> str:
    """`origin` as browsers send it (RFC 6454 §6.2): in small letters, without a default port."""
    scheme, _, host = origin.rstrip("/").lower().partition("://")
    return f"{scheme}://{host.removesuffix(':443' if scheme == 'https' else ':80')}"

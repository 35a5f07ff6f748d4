import pytest
from litestar.datastructures import Headers
from litestar.testing import RequestFactory

from core.errors import Forbidden
from core.http.cookies import RefreshCookie

PATH = "/api/v1/auth"
PLAIN = RefreshCookie.of_site("", PATH, 3600)
SITE = RefreshCookie.of_site("https://pulse.example.com", PATH, 3600)


def taken(cookie: RefreshCookie, **headers: str) -> str | None:
    """What a request with these headers (``_`` for the dash) brings, or "refused"."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = RequestFactory().post(
        "/", headers={"host": "10.0.0.1:8080", "cookie": f"{cookie.name}=t", **sent}
    )
    try:
        return cookie.taken(request)
    except Forbidden as refused:
        return refused.code


def attributes(cookie: RefreshCookie) -> tuple[str, list[str]]:
    first, *rest = cookie.holding("t").to_header(header="").split("; ")
    return first, sorted(rest)


def test_over_https_browsers_keep_the_cookie_to_this_very_host() -> None:
    assert attributes(SITE) == (
        "__Host-pulseboard_refresh=t",
        ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=strict", "Secure"],
    )


def test_over_http_the_cookie_goes_to_the_addresses_that_need_it() -> None:
    assert attributes(PLAIN) == (
        "pulseboard_refresh=t",
        ["HttpOnly", "Max-Age=3600", f"Path={PATH}", "SameSite=strict"],
    )


@pytest.mark.parametrize("cookie", [PLAIN, SITE], ids=["http", "https"])
def test_the_cookie_is_removed_the_way_it_was_set(cookie: RefreshCookie) -> None:
    held, gone = cookie.holding("t"), cookie.gone()
    assert (gone.key, gone.path, gone.secure) == (held.key, held.path, held.secure)
    assert (gone.value, gone.max_age) == ("", 0)


def test_without_a_cookie_nobody_asks_where_the_request_came_from() -> None:
    request = RequestFactory().post("/", headers={"origin": "https://evil.example"})
    assert PLAIN.taken(request) is None


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        # What browsers say of themselves decides, whatever else is said.
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "http://behind.a.proxy"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": ""}, False),
        ({"sec_fetch_site": "none", "x_pulseboard_csrf": "1"}, True),
        ({"sec_fetch_site": "cross-site", "x_pulseboard_csrf": "1"}, False),
        ({"sec_fetch_site": "same-site", "x_pulseboard_csrf": "1"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://10.0.0.1:8080"}, False),
        # Older ones, and plain http: the origin of the page.
        ({"origin": "http://10.0.0.1:8080"}, True),
        ({"origin": "https://10.0.0.1:8080"}, True),
        ({"origin": "HTTP://10.0.0.1:8080"}, True),
        ({"origin": "http://10.0.0.1"}, False),
        ({"origin": "http://10.0.0.1:8081"}, False),
        ({"origin": "http://10.0.0.1:8080.evil.example"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "null", "x_pulseboard_csrf": "1"}, False),
        ({"origin": "https://evil.example", "x_pulseboard_csrf": "1"}, False),
        # Programs.
        ({}, False),
        ({"x_pulseboard_csrf": "1"}, True),
        ({"x_pulseboard_csrf": "0"}, False),
        ({"x_pulseboard_csrf": ""}, False),
        ({"referer": "http://10.0.0.1:8080/"}, False),
    ],
    ids=lambda value: "+".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("cookie", [PLAIN, SITE], ids=["http", "https"])
def test_only_our_own_page_and_programs_may_use_the_cookie(
    cookie: RefreshCookie, headers: dict[str, str], passes: bool
) -> None:
    assert taken(cookie, **headers) == ("t" if passes else "csrf")


@pytest.mark.parametrize(
    "public_url", ["https://pulse.example.com", "https://pulse.example.com:443/", "https://PULSE.example.com"]
)
def test_the_public_address_is_our_own_whatever_host_the_proxy_names(public_url: str) -> None:
    cookie = RefreshCookie.of_site(public_url, PATH, 3600)
    assert taken(cookie, origin="https://pulse.example.com") == "t"
    assert taken(cookie, origin="http://pulse.example.com") == "csrf"
    assert taken(cookie, origin="https://pulse.example.com.evil.example") == "csrf"


@pytest.mark.parametrize("name", ["origin", "sec-fetch-site", "x-pulseboard-csrf"])
def test_a_header_that_comes_twice_proves_nothing(name: str) -> None:
    value = {"origin": "http://10.0.0.1:8080", "sec-fetch-site": "same-origin"}.get(name, "1")
    pairs = [("host", "10.0.0.1:8080"), (name, value)]
    assert PLAIN._from_own_page(Headers(_raw(pairs)))
    assert not PLAIN._from_own_page(Headers(_raw([*pairs, (name, value)])))


def _raw(pairs: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in pairs]

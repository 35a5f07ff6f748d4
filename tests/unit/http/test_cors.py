import pytest

from core.http.cors import Cors

ORIGIN = b"https://stats.example.com"


def test_without_a_list_nothing_is_said() -> None:
    assert Cors([]).headers({b"origin": ORIGIN}) == []


def test_a_page_on_the_list_may_read() -> None:
    headers = dict(Cors(["https://Stats.Example.com/"]).headers({b"origin": ORIGIN}))
    assert headers[b"access-control-allow-origin"] == ORIGIN
    assert headers[b"vary"] == b"origin"
    assert b"etag" in headers[b"access-control-expose-headers"]
    assert b"access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin",
    [
        b"",
        b"null",
        b"https://stats.example.com.evil.example",
        b"http://stats.example.com",
        b"https://example.com",
    ],
)
def test_any_other_page_may_not(origin: bytes) -> None:
    assert Cors([ORIGIN.decode()]).headers({b"origin": origin}) == [(b"vary", b"origin")]


def test_a_browser_that_asks_first_is_told_what_it_may_send() -> None:
    cors = Cors([ORIGIN.decode()])
    asked = {b"origin": ORIGIN, b"access-control-request-method": b"PATCH"}
    told = dict(cors.preflight("OPTIONS", asked) or [])
    assert b"PATCH" in told[b"access-control-allow-methods"]
    assert b"authorization" in told[b"access-control-allow-headers"]
    assert cors.preflight("OPTIONS", {**asked, b"origin": b"https://evil.example"}) == []
    assert cors.preflight("OPTIONS", {b"origin": ORIGIN}) is None
    assert cors.preflight("PATCH", asked) is None


def test_the_default_port_is_left_out_as_browsers_do() -> None:
    assert Cors(["https://stats.example.com:443"]).headers({b"origin": ORIGIN})[1][1] == ORIGIN

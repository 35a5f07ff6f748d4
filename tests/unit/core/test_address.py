import pytest

from core.address import Proxies, canonical, parse, subscriber

PROXY = "10.0.0.1"


@pytest.fixture
def proxies() -> Proxies:
    return Proxies(["10.0.0.0/8", "fd00::/8"])


def test_without_a_proxy_the_peer_is_the_client() -> None:
    assert Proxies([]).client("192.0.2.7", ["203.0.113.9"]) == "192.0.2.7"


def test_a_stranger_cannot_name_another_address(proxies: Proxies) -> None:
    assert proxies.client("192.0.2.7", ["203.0.113.9"]) == "192.0.2.7"


def test_a_trusted_proxy_names_the_client(proxies: Proxies) -> None:
    assert proxies.client(PROXY, ["203.0.113.9"]) == "203.0.113.9"


def test_what_the_client_wrote_itself_does_not_count(proxies: Proxies) -> None:
    assert proxies.client(PROXY, ["127.0.0.1, 8.8.8.8, 203.0.113.9"]) == "203.0.113.9"
    assert proxies.client(PROXY, ["127.0.0.1", "203.0.113.9, 10.2.2.2"]) == "203.0.113.9"


def test_of_proxies_alone_the_farthest_counts(proxies: Proxies) -> None:
    assert proxies.client(PROXY, ["10.3.3.3, 10.2.2.2"]) == "10.3.3.3"
    assert proxies.client(PROXY, []) == PROXY


@pytest.mark.parametrize("nonsense", ["unknown", "", "x" * 5000, "1.2.3.4.5", "203.0.113.9 evil", "_hidden"])
def test_where_an_entry_is_no_address_the_last_good_one_counts(proxies: Proxies, nonsense: str) -> None:
    assert proxies.client(PROXY, [f"203.0.113.9, {nonsense}, 10.2.2.2"]) == "10.2.2.2"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert str(parse(text)) == address
    assert canonical(text) == address


def test_what_is_no_address_stays_as_it_is() -> None:
    assert (canonical("testclient"), subscriber("testclient"), parse("testclient")) == (
        "testclient",
        "testclient",
        None,
    )


def test_a_subscriber_is_an_ipv4_address_or_a_64_of_ipv6() -> None:
    assert subscriber("203.0.113.9") == subscriber("::ffff:203.0.113.9") == "203.0.113.9"
    assert subscriber("2001:db8:0:1::1") == subscriber("2001:db8:0:1:ffff::9") == "2001:db8:0:1::/64"
    assert subscriber("2001:db8:0:2::1") != subscriber("2001:db8:0:1::1")


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "proxy.example.com", "10.0.0.1/8", ""])
def test_what_is_no_network_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Proxies([wrong])

"""Where addresses are, from files that operators bring, replace and break."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from structlog.testing import capture_logs

from services.places import REMEMBERED, Places
from storage.base import Place

BERLIN = {
    "country": {"iso_code": "DE"},
    "location": {"latitude": 52.52, "longitude": 13.405},
    "city": {"names": {"en": "Berlin"}},
}


def write(path: Path, kind: str, networks: dict[str, Any], version: int = 6) -> Path:
    """Put a MaxMind DB file in the place of `path`, by renaming as the vendors' tools do."""
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    fresh = path.with_suffix(".new")
    writer.to_db_file(str(fresh))
    fresh.rename(path)
    return path


def country_file(path: Path, code: str = "DE", network: str = "8.8.8.0/24") -> Path:
    return write(path, "GeoLite2-Country", {network: {"country": {"iso_code": code}}})


def asn_file(path: Path, number: int = 15169) -> Path:
    return write(path, "GeoLite2-ASN", {"8.8.8.0/24": {"autonomous_system_number": number}})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "places.mmdb"


def warnings(action: Callable[[], object]) -> list[str]:
    """The reasons for which `action` had the log say that a file is no good."""
    with capture_logs() as lines:
        action()
    return [line["reason"] for line in lines if line["log_level"] == "warning"]


def test_without_files_only_the_subnet_is_known() -> None:
    assert Places("", "").locate("8.8.8.8") == Place(subnet="8.8.8.0/24")


def test_a_city_file_tells_country_and_coordinates_and_the_asn_file_the_system(path: Path) -> None:
    write(path, "GeoLite2-City", {"8.8.8.0/24": BERLIN, "2a00:1450::/32": {"country": {"iso_code": "FR"}}})
    places = Places(str(path), str(asn_file(path.with_name("asn.mmdb"))))
    assert places.locate("8.8.8.8") == Place(
        country="DE", asn=15169, latitude=52.52, longitude=13.405, subnet="8.8.8.0/24"
    )
    assert places.locate("2a00:1450:1:2:3::4") == Place(country="FR", subnet="2a00:1450:1:2::/64")
    assert places.locate("9.9.9.9") == Place(subnet="9.9.9.0/24")


def test_an_ipv4_address_in_ipv6_dress_is_the_ipv4_address(path: Path) -> None:
    places = Places(str(country_file(path)), "")
    assert (
        places.locate("::ffff:8.8.8.8")
        == places.locate("8.8.8.8")
        == Place(country="DE", subnet="8.8.8.0/24")
    )


def test_a_file_of_ipv4_addresses_knows_no_other_and_does_not_fail(path: Path) -> None:
    write(path, "Country", {"8.8.8.0/24": {"country": {"iso_code": "DE"}}}, version=4)
    places = Places(str(path), "")
    assert places.locate("2a00:1450::1") == Place(subnet="2a00:1450::/64")
    assert places.locate("8.8.8.8").country == "DE"
    assert places.metrics()["places_failures_total"] == 0


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1",  # private
        "127.0.0.1", "::1", "0.0.0.0", "::",  # this host
        "169.254.1.1", "fe80::1", "fe80::1%eth0",  # link-local
        "100.64.0.1", "100.127.255.255",  # behind a carrier's NAT
        "192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "3fff::1",  # documentation
        "198.18.0.1", "2001:2::1",  # benchmarks
        "224.0.0.1", "239.1.1.1", "ff02::1", "ff0e::1",  # multicast
        "240.0.0.1", "255.255.255.255", "4000::1", "fec0::1", "64:ff9b::808:808",  # reserved
        "2002:808:808::1", "192.88.99.1",  # 6to4
        "::ffff:10.0.0.1",
        "", "x", "unix", "8.8.8", "8.8.8.8.8", "256.1.1.1", "8.8.8.8\0", "\ud800", "8" * 10_000,
        "\uff18.8.8.8",
    ],
)  # fmt: skip
def test_what_is_no_public_address_is_nowhere(path: Path, address: str) -> None:
    everything = {"::/1": {"country": {"iso_code": "DE"}}, "8000::/1": {"country": {"iso_code": "DE"}}}
    places = Places(str(write(path, "GeoLite2-Country", everything)), "")
    assert places.locate(address) == Place()
    assert places.metrics()["places_failures_total"] == 0


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"country": {"iso_code": "de"}}, Place()),
        ({"country": {"iso_code": "DEU"}}, Place()),
        ({"country": {"iso_code": 49}}, Place()),
        ({"country": "DE"}, Place()),
        ({"registered_country": {"iso_code": "DE"}}, Place()),
        ({"location": {"latitude": 91.0, "longitude": 0.0}}, Place()),
        ({"location": {"latitude": float("nan"), "longitude": 0.0}}, Place()),
        ({"location": {"latitude": 1.0}}, Place()),
        ({"location": {"latitude": -90.0, "longitude": 180}}, Place(latitude=-90.0, longitude=180.0)),
        ("a text", Place()),
        ([1, 2], Place()),
    ],
)
def test_what_makes_no_sense_is_unknown(path: Path, record: Any, expected: Place) -> None:
    write(path, "Odd", {"8.8.8.0/24": record, "9.9.9.0/24": {"country": {"iso_code": "DE"}}})
    found = Places(str(path), "").locate("8.8.8.8")
    assert (found.country, found.latitude, found.longitude) == (None, expected.latitude, expected.longitude)


@pytest.mark.parametrize("number", [0, 1 << 32, "AS15169"])
def test_what_is_no_number_of_a_system_is_unknown(path: Path, number: object) -> None:
    records = {
        "8.8.8.0/24": {"autonomous_system_number": number},
        "9.9.9.0/24": {"autonomous_system_number": 19281},
    }
    places = Places("", str(write(path, "GeoLite2-ASN", records)))
    assert places.locate("8.8.8.8").asn is None
    assert places.locate("9.9.9.9").asn == 19281


def test_a_file_that_was_renamed_into_place_is_taken(path: Path) -> None:
    places = Places(str(country_file(path, "DE")), "")
    assert places.locate("8.8.8.8").country == "DE"
    country_file(path, "FR")
    assert places.locate("8.8.8.8").country == "DE", "until it is looked for"
    places.refresh()
    assert places.locate("8.8.8.8").country == "FR"
    assert places.metrics()["places_country_loaded_total"] == 2


def test_a_file_that_did_not_change_is_not_read_again(path: Path) -> None:
    places = Places(str(country_file(path)), "")
    places.refresh()
    assert places.metrics()["places_country_loaded_total"] == 1


def test_a_file_that_comes_later_is_taken_and_one_that_goes_stays_in_use(path: Path) -> None:
    places = Places(str(path), "")
    assert warnings(places.refresh) == [], "said at the start"
    country_file(path)
    places.refresh()
    assert places.locate("8.8.8.8").country == "DE"
    path.unlink()
    (reason,) = warnings(places.refresh)
    assert "No such file" in reason
    assert warnings(places.refresh) == []
    assert places.locate("8.8.8.8").country == "DE"
    country_file(path, "FR")
    places.refresh()
    assert places.locate("8.8.8.8").country == "FR"


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_text("<html>Your licence key is not valid.</html>")


def of_another_type(path: Path) -> None:
    asn_file(path)


def without_records(path: Path) -> None:
    write(path, "GeoLite2-Country", {})


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe_that_nobody_writes_to(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def far_too_large(path: Path) -> None:
    os.truncate(path, 1 << 40)


def with_a_tree_of_noise(path: Path) -> None:
    content = path.read_bytes()
    metadata = content.rfind(b"\xab\xcd\xefMaxMind.com")
    path.write_bytes(b"\xff" * metadata + content[metadata:])


BAD = [
    truncated,
    emptied,
    no_database,
    of_another_type,
    without_records,
    a_folder,
    a_pipe_that_nobody_writes_to,
    far_too_large,
    with_a_tree_of_noise,
]


@pytest.mark.parametrize("damage", BAD)
def test_a_bad_file_leaves_the_former_in_use_and_is_told_once(
    path: Path, damage: Callable[[Path], None]
) -> None:
    places = Places(str(country_file(path)), "")
    damage(path)
    assert len(warnings(places.refresh)) == 1
    assert warnings(places.refresh) == []
    assert places.locate("8.8.8.8").country == "DE"
    assert places.metrics()["places_country_refused_total"] == 1
    if path.is_dir():
        path.rmdir()
    country_file(path, "FR")
    assert warnings(places.refresh) == []
    assert places.locate("8.8.8.8").country == "FR"


@pytest.mark.parametrize("damage", BAD)
def test_a_bad_file_at_the_start_is_the_same_as_none(path: Path, damage: Callable[[Path], None]) -> None:
    country_file(path)
    damage(path)
    assert Places(str(path), "").locate("8.8.8.8") == Place(subnet="8.8.8.0/24")


def test_a_damaged_asn_file_does_not_hide_a_new_country_file(path: Path) -> None:
    asn = asn_file(path.with_name("asn.mmdb"))
    places = Places(str(country_file(path, "DE")), str(asn))
    truncated(asn)
    country_file(path, "FR")
    places.refresh()
    assert places.locate("8.8.8.8") == Place(country="FR", asn=15169, subnet="8.8.8.0/24")


def test_a_file_that_is_overwritten_or_cut_in_place_does_not_touch_the_one_in_use(path: Path) -> None:
    places = Places(str(country_file(path)), "")
    size = path.stat().st_size
    path.write_bytes(bytes(size))
    assert places.locate("8.8.8.1").country == "DE"
    emptied(path)
    assert places.locate("8.8.8.2").country == "DE"


def test_a_record_that_cannot_be_decoded_is_unknown_and_counted(path: Path) -> None:
    marker = "a" * 40
    write(
        path,
        "GeoLite2-Country",
        {"8.8.8.0/24": {"country": {"iso_code": "DE"}}, "9.9.9.0/24": {"country": {"odd": marker}}},
    )
    content = path.read_bytes()
    # Longer than what is left of the file.
    path.write_bytes(content.replace(b"\x5d\x0b" + marker.encode(), b"\x5f\xff" + marker.encode()))
    assert path.read_bytes() != content
    places = Places(str(path), "")
    assert places.locate("9.9.9.9") == Place(subnet="9.9.9.0/24")
    assert places.locate("8.8.8.8").country == "DE"
    assert places.metrics()["places_failures_total"] == 1


def test_what_is_remembered_has_a_bound(path: Path) -> None:
    places = Places(str(country_file(path)), "")
    for index in range(REMEMBERED + 100):
        places.locate(f"8.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}")
    assert places._locate.cache_info().currsize == REMEMBERED


def test_nobody_notices_that_files_are_replaced(path: Path) -> None:
    """Threads look up all the time while one puts good and bad files in place."""
    places = Places(str(country_file(path, "AA", "8.0.0.0/8")), "")
    done = threading.Event()
    found: list[Sequence[str | None]] = []

    def look_up() -> None:
        codes: set[str | None] = set()
        index = 0
        while not done.is_set():
            index += 1
            codes.add(places.locate(f"8.8.{index >> 8 & 255}.{index & 255}").country)
        found.append(list(codes))

    threads = [threading.Thread(target=look_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(60):
            if turn % 3 == 2:
                truncated(path)
            else:
                country_file(path, "AA" if turn % 2 else "BB", "8.0.0.0/8")
            places.refresh()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(found) == 3
    assert {code for codes in found for code in codes} <= {"AA", "BB"}

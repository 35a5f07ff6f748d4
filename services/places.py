"""Where an address is: its country, coordinates and autonomous system, from an operator's files.

The files have the MaxMind DB format (version 2.0 of its specification), in the layout of GeoLite2: a
country or city file, and an ASN file. Whoever runs Pulseboard brings them and may replace them at any
time; without them everything is unknown.
"""

import math
import os
import stat
import threading
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from itertools import islice
from typing import Any

import maxminddb

from core.address import IPV6_SUBSCRIBER, Address, parse
from core.logs import get_logger
from core.metrics import Metrics
from storage.base import Place

# What is looked up again most is the same address coming back: a home's, a mobile network's.
REMEMBERED = 16_384
# The largest file on the market has about 400 MB; what is larger is a mistake.
MAX_BYTES = 1 << 30
# Records of a file that are looked at to tell whether it holds what it is for.
SAMPLED = 1000
IPV4_SUBNET = 24

_UNICAST = IPv6Network("2000::/3")
# Not public, though not every supported Python says so: 6to4 and its relays, documentation (RFC 9637).
_SPECIAL = tuple(ip_network(each) for each in ("192.88.99.0/24", "2002::/16", "3fff::/20"))

NOWHERE = Place()

log = get_logger("places")


class Places:
    """Tells where addresses are.

    `locate` may be called while another thread is in `refresh`.
    """

    def __init__(self, places_file: str, asn_file: str) -> None:
        """The paths of a country or city file and of an ASN file; "" where there is none.

        Files that are missing or no good are reported as `refresh` does, and looked for again by it.
        """
        self._places = _File(places_file, "country", _tells_country)
        self._asn = _File(asn_file, "asn", _tells_asn)
        self._refreshing = threading.Lock()
        self._failures = 0
        self._locate = self._make_locate()
        self.refresh()

    def locate(self, address: str) -> Place:
        """Where `address` is; `Place()` for what is no address that is routed in public. Never raises."""
        return self._locate(address)

    def refresh(self) -> None:
        """Take files that were put in place of the former ones, or that were missing so far.

        One that is no good leaves the former in use, and is reported in the log and counted once. Reads
        whole files: call it in a thread of its own.
        """
        with self._refreshing:
            # Both are asked, whatever the first says.
            if any([self._places.refresh(), self._asn.refresh()]):
                self._locate = self._make_locate()

    def metrics(self) -> Metrics:
        """The age of the data, what was loaded and refused, and look-ups that broken data failed."""
        return {
            **self._places.metrics(),
            **self._asn.metrics(),
            "places_failures_total": self._failures,
        }

    def _make_locate(self) -> Callable[[str], Place]:
        """A look-up in the files as they are now, which remembers what it found."""
        places, asn = self._places.reader, self._asn.reader

        @lru_cache(maxsize=REMEMBERED)
        def locate(text: str) -> Place:
            address = parse(text)
            subnet = "" if address is None else public_subnet(address)
            if address is None or not subnet:
                return NOWHERE
            country, latitude, longitude = _country_of(self._find(places, address))
            return Place(
                country=country,
                asn=_asn_of(self._find(asn, address)),
                latitude=latitude,
                longitude=longitude,
                subnet=subnet,
            )

        return locate

    def _find(self, reader: maxminddb.Reader | None, address: Address) -> Any:
        if reader is None:
            return None
        try:
            return reader.get(address)
        # An IPv6 address in a file of IPv4 addresses, and whatever a damaged record makes of a decoder:
        # the file is foreign, and nothing in it may stop who asks.
        except Exception:
            self._failures += not (isinstance(address, IPv6Address) and reader.metadata().ip_version == 4)
            return None


def public_subnet(address: Address) -> str:
    """The /24 or /64 around an address that is routed in public; "" for any other.

    Others are private, shared (CGNAT), loopback, link-local, documentation, multicast and reserved ones.
    """
    if not address.is_global or address.is_multicast or address.is_reserved:
        return ""
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return ""
    if any(address in network for network in _SPECIAL):
        return ""
    length = IPV4_SUBNET if isinstance(address, IPv4Address) else IPV6_SUBSCRIBER
    return str(ip_network((address, length), strict=False))


class _File:
    """One file: the newest version of it that was any good."""

    def __init__(self, path: str, name: str, tells: Callable[[Any], bool]) -> None:
        """`tells` is whether a record of the file holds what the file is for."""
        self._path = path
        self._name = name
        self._tells = tells
        # What identifies the version that was looked at last; an error's text if there was none.
        self._seen: tuple[int, ...] | str = ()
        self._loaded = 0
        self._refused = 0
        self.reader: maxminddb.Reader | None = None

    def refresh(self) -> bool:
        """Look for a new version; whether there is one, and it is in use."""
        if not self._path:
            return False
        try:
            reader = self._open_new()
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            self._refuse(str(error))
            return False
        if reader is None:
            return False
        self.reader = reader
        self._loaded += 1
        found = reader.metadata()
        log.info("file of places in use", file=self._name, type=found.database_type, built=found.build_epoch)
        return True

    def metrics(self) -> Metrics:
        """When the data was built, in seconds since the epoch, and how many files were loaded or refused."""
        return {
            f"places_{self._name}_built": self.reader.metadata().build_epoch if self.reader else 0,
            f"places_{self._name}_loaded_total": self._loaded,
            f"places_{self._name}_refused_total": self._refused,
        }

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        log.warning(
            "file of places is no good", file=self._name, reason=reason, former_in_use=self.reader is not None
        )

    def _open_new(self) -> maxminddb.Reader | None:
        """Open the file, unless it is the version that was looked at last.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what it is for.
            maxminddb.InvalidDatabaseError: it is damaged.
        """
        try:
            # Whoever put a FIFO there must not be waited for.
            source = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._missing(error)
            return None
        try:
            status = os.fstat(source)
            version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if version == self._seen:
                return None
            self._seen = version
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no regular file")
            if status.st_size > MAX_BYTES:
                raise ValueError(f"it has {status.st_size} bytes, more than {MAX_BYTES}")
            reader = _load(source, status.st_size)
        finally:
            os.close(source)
        # All records of a file look alike: a sample tells a file of another type.
        if not any(self._tells(record) for _, record in islice(reader, SAMPLED)):
            raise ValueError(f"it is of type {reader.metadata().database_type!r}, which does not tell it")
        return reader

    def _missing(self, error: OSError) -> None:
        """The file cannot be opened: news only if it was not so the last time."""
        if self._seen == str(error):
            return
        self._seen = str(error)
        raise error


def _load(source: int, size: int) -> maxminddb.Reader:
    """A reader of a copy of the file in memory.

    The file itself is not mapped: whoever overwrites or cuts it in place would pull the pages from under
    the reader, and the process would die of SIGBUS. The copy has no name and cannot be cut; the
    library's compiled reader, which opens files only, takes a twentieth of the time of its one for bytes.

    Raises:
        ValueError: it changed meanwhile.
        maxminddb.InvalidDatabaseError: it is damaged.
    """
    copy = os.memfd_create("places", os.MFD_CLOEXEC)
    try:
        copied = 0
        while copied < size and (step := os.sendfile(copy, source, copied, size - copied)):
            copied += step
        if copied < size:
            raise ValueError("it was cut while it was read")
        return maxminddb.open_database(f"/proc/self/fd/{copy}")
    finally:
        os.close(copy)


def _tells_country(record: Any) -> bool:
    return _country_of(record)[0] is not None


def _tells_asn(record: Any) -> bool:
    return _asn_of(record) is not None


def _country_of(record: Any) -> tuple[str | None, float | None, float | None]:
    """Country code, latitude and longitude of a record, as far as they are there and make sense."""
    code = _within(record, "country", "iso_code")
    known = isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalpha() and code.isupper()
    latitude = _degrees(_within(record, "location", "latitude"), 90)
    longitude = _degrees(_within(record, "location", "longitude"), 180)
    if latitude is None or longitude is None:
        latitude = longitude = None
    return code if known else None, latitude, longitude


def _asn_of(record: Any) -> int | None:
    number = _within(record, "autonomous_system_number")
    return number if isinstance(number, int) and 0 < number < 1 << 32 else None


def _within(record: Any, *path: str) -> Any:
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _degrees(value: Any, most: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if abs(value) <= most else None

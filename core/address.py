"""Where a request came from, when load balancers stand between."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What a subscriber gets: whoever has one address of it has them all.
IPV6_SUBSCRIBER = 64


class Proxies:
    """The load balancers whose word on the client's address is taken."""

    def __init__(self, networks: Iterable[str]) -> None:
        """`networks` are CIDR, "10.0.0.0/8" or a single address.

        Raises:
            ValueError: one of them is not.
        """
        self._networks: list[Network] = [ip_network(network) for network in networks]

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client's address, in its canonical form.

        `peer` is the other end of the connection and `forwarded` the values of X-Forwarded-For in
        order. Each trusted hop vouches for the entry to the left of it, so the answer is the
        rightmost entry that is no trusted proxy; what stands left of that anybody may have written.
        """
        if not forwarded or not self._networks:
            return canonical(peer)
        found = parse(peer)
        if found is None:
            return peer
        entries = [entry for line in forwarded for entry in line.split(",")]
        while entries and self._trusts(found):
            named = parse(entries.pop())
            if named is None:
                break
            found = named
        return str(found)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def parse(text: str) -> Address | None:
    """The address that `text` is, also in brackets and with a port; None, if it is none.

    An IPv4 address that is dressed as IPv6 (RFC 4291 §2.5.5.2) is the IPv4 address.
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """An address in its canonical form; what is none stays as it is."""
    address = parse(text)
    return text if address is None else str(address)


@lru_cache(maxsize=4096)
def subscriber(text: str) -> str:
    """The unit that limits are counted by: an IPv4 address, or the /64 of an IPv6 address.

    What is no address is its own unit.
    """
    address = parse(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_SUBSCRIBER), strict=False))
    return str(address) if address else text

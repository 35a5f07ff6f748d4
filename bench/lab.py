"""What a scenario works with: the size of the run, the peers there are, and chance."""

import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec import Struct

from bench.cluster import Cluster, start_cluster
from bench.load.client import PLAIN, Dialect, LoadClient, load_client
from bench.others import Availability, Peer, start_peer

T = TypeVar("T")

SHORT, NORMAL, LONG = "short", "normal", "long"


class Lab:
    """`size` is "short" (seconds, for trying), "normal" (what `make bench` takes) or "long"."""

    def __init__(self, size: str, peers: Availability, seed: int) -> None:
        self.size = size
        self._peers = peers
        self._random = random.Random(seed)  # a chosen seed, so that a run can be repeated

    def pick(self, short: T, normal: T, long: T | None = None) -> T:
        """The value for the size of this run; a long run takes the normal one unless it has its own."""
        if self.size == SHORT:
            return short
        return long if self.size == LONG and long is not None else normal

    def peers(self, *names: str) -> list[str]:
        """Those of `names` that there are on this machine."""
        return [name for name in names if name in self._peers.versions]

    def shuffled(self, names: Sequence[str]) -> list[str]:
        """`names` in another order each time, so that no target always runs after the same other."""
        return self._random.sample(names, len(names))

    def say(self, text: str) -> None:
        """Tell how far the run is."""
        print(f"  {text}", file=sys.stderr, flush=True)


class Ours(Struct):
    """A cluster of one worker and a client to it."""

    cluster: Cluster
    client: LoadClient

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self.cluster.pids[0]


class Theirs(Struct):
    """A peer and a client to it."""

    peer: Peer
    client: LoadClient

    @property
    def pid(self) -> int:
        """The peer's process id."""
        return self.peer.pid


@asynccontextmanager
async def ours(
    connections: int,
    dialect: Dialect,
    mint: Callable[[Cluster], Callable[[], str]] | None = None,
    *,
    tokens: int | None = None,
    in_flight: int = 64,
    **settings: Any,
) -> AsyncIterator[Ours]:
    """One worker and a client for up to `connections`; dots of settings are double underscores.

    `mint` tells which tokens the client presents, a person's unless given, and `tokens` how many of
    them, one for each connection unless given; a dialect without a subprotocol presents none.
    """
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    async with start_cluster(1, flags) as cluster:
        make = mint(cluster) if mint else cluster.user_token
        async with load_client(
            cluster.port,
            connections,
            dialect,
            mint=make if dialect.subprotocol else None,
            tokens=tokens,
            in_flight=in_flight,
        ) as client:
            yield Ours(cluster, client)


@asynccontextmanager
async def theirs(
    name: str, connections: int, dialect: Dialect = PLAIN, *, in_flight: int = 64
) -> AsyncIterator[Theirs]:
    """A peer and a client for up to `connections`."""
    async with (
        start_peer(name) as peer,
        load_client(peer.port, connections, dialect, in_flight=in_flight) as client,
    ):
        yield Theirs(peer, client)

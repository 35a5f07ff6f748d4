"""Nodes that work, and epochs that are closed: for tests of what is earned."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import House

from core.clock import new_id
from storage.base import Batch, Epoch, Opened, Report, Terms, User

TERMS = Terms(
    availability_pool=7_200_000,
    usage_pool=3_600_000,
    bonus_pool=0,
    referral_pool=0,
    unmeasured_score=5000,
    hold_seconds=7200,
    holdback=[],
    streak=None,
    first_hours=None,
    minimum_payout=1_000_000,
)


class Farm:
    """Nodes over the stores of a house, in epochs of an hour that begin with the full hour."""

    pool = TERMS.availability_pool
    usage_pool = TERMS.usage_pool

    def __init__(self, house: House) -> None:
        self.house = house
        self._connections: dict[UUID, UUID] = {}
        self._worked: dict[tuple[UUID, int], int] = {}
        self._sequence = 0

    @classmethod
    async def begin(cls, house: House, terms: Terms = TERMS) -> "Farm":
        """The first epoch begins with the hour that it is."""
        await house.stores.epochs.set_terms(terms, house.clock.now())
        await house.stores.epochs.begin(house.clock.now(), 3600)
        return cls(house)

    async def node(self, owner: User) -> UUID:
        """A node of `owner` comes."""
        node = await self.house.node(owner, Ed25519PrivateKey.generate(), f"node {len(self._connections)}")
        connection = self._connections[node.node_id] = new_id()
        await self._apply(Opened(node.node_id, connection, self.house.now_ms, "198.51.100.7"))
        return node.node_id

    async def work(self, seconds: Mapping[UUID, int], *, minutes: int, moved: int = 0) -> None:
        """Nodes are confirmed for so many seconds more of the open epoch, `minutes` after its beginning.

        Each moves `moved` bytes.
        """
        epoch = await self.house.stores.epochs.open()
        assert epoch is not None
        at = epoch.starts_at + timedelta(minutes=minutes)
        self.house.clock.advance(max(timedelta(0), at - self.house.clock.now()))
        hour = int(epoch.starts_at.timestamp()) // 3600
        for node_id, more in seconds.items():
            done = self._worked.get((node_id, hour), 0)
            self._worked[node_id, hour] = done + more
            await self._apply(
                Report(
                    node_id,
                    self._connections[node_id],
                    hour,
                    done,
                    done + more,
                    int(at.timestamp()),
                    bytes_up=moved,
                )
            )
        await self.house.stores.epochs.measure(at)

    async def close(self) -> Epoch:
        """The open epoch ends, and is closed."""
        epoch = await self.house.stores.epochs.open()
        assert epoch is not None
        self.house.clock.advance(max(timedelta(0), epoch.ends_at - self.house.clock.now()))
        closed = await self.house.stores.epochs.close(self.house.clock.now(), epoch.ends_at)
        assert closed is not None
        return closed

    async def _apply(self, record: Opened | Report) -> None:
        self._sequence += 1
        await self.house.uptime.apply([Batch("w1", self._sequence, [record])], {})

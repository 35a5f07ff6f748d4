"""People with nodes that do things, and epochs over them, on any stores."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from support.proofs import prove
from support.stores import Stores, make_node

from core.clock import new_id
from storage.base import (
    Batch,
    Burst,
    Opened,
    Place,
    Record,
    ReferralCode,
    Registration,
    Report,
    Trait,
)
from storage.base.epochs import Accruing, Epoch, Terms
from storage.base.ledger import Balances
from storage.uptime import HOUR_S

START = datetime(2026, 3, 4, 5, tzinfo=UTC)
FIRST_HOUR = int(START.timestamp()) // HOUR_S
HOUR = timedelta(hours=1)
FOREVER = START + timedelta(days=3650)
TERMS = Terms(
    availability_pool=1_000_000,
    usage_pool=500_000,
    bonus_pool=0,
    referral_pool=0,
    unmeasured_score=5000,
    hold_seconds=2 * HOUR_S,
    holdback=[],
    streak=None,
    first_hours=None,
    minimum_payout=1,
)


class World:
    """People with nodes that do things, and epochs over them. Times are in hours after the beginning."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.epochs = stores.epochs
        self.ledger = stores.ledger
        self._sequence = count(1)
        self._connections: dict[UUID, UUID] = {}

    async def add_user(self) -> UUID:
        return await self.stores.add_user()

    async def add_node(
        self, user_id: UUID, age: timedelta = timedelta(days=400), country: str | None = None
    ) -> UUID:
        """A node that was made so long before the beginning, in a country."""
        node = make_node(user_id, created_at=START - age)
        assert await self.stores.nodes.enrol(node)
        if country is not None:
            await self.locate(node.node_id, country)
        return node.node_id

    async def locate(self, node_id: UUID, country: str) -> None:
        """The node connects from a country."""
        self._connections[node_id] = new_id()
        at_ms = int(START.timestamp()) * 1000 + next(self._sequence)
        opened = Opened(node_id, self._connections[node_id], at_ms, "192.0.2.9")
        batch = Batch("worker", next(self._sequence), [opened])
        await self.stores.uptime.apply([batch], {"192.0.2.9": Place(country=country)})

    async def join(self, parent: UUID | None = None, *traits: Trait) -> UUID:
        """Somebody makes an account, brought by `parent`."""
        code, user_id = None, new_id()
        token_hash = user_id.bytes * 2
        if parent is not None:
            code = parent.hex.upper()
            shown = ReferralCode(code=code, user_id=parent, shown=code, alias=False, created_at=START)
            await self.stores.referrals.add_code(shown, 1)
        registration = Registration(
            token_hash=token_hash,
            email=f"{user_id}@example.org",
            display_name="Ada",
            password_hash="hash",
            locale="en",
            referral_code=code,
            traits=list(traits),
            created_at=START,
            expires_at=START + HOUR,
        )
        await self.stores.confirmations.put_registration(registration, [])
        registered = await self.stores.confirmations.register(
            token_hash, user_id, START, burst=Burst(people=1000)
        )
        assert registered
        return user_id

    async def report(
        self, node_id: UUID, hour: int, start: int = 0, end: int = 0, *, up: int = 0, down: int = 0
    ) -> None:
        """The node was confirmed in the seconds from `start` to `end` of an hour, and moved so many bytes."""
        records: list[Record] = []
        if node_id not in self._connections:
            self._connections[node_id] = new_id()
            records.append(
                Opened(node_id, self._connections[node_id], int(START.timestamp()) * 1000, "192.0.2.1")
            )
        number = FIRST_HOUR + hour
        connection = self._connections[node_id]
        records.append(
            Report(
                node_id, connection, number, start, end, number * HOUR_S + end, bytes_up=up, bytes_down=down
            )
        )
        await self.stores.uptime.apply([Batch("worker", next(self._sequence), records)], {})

    async def begin(self, terms: Terms = TERMS, seconds: int = HOUR_S) -> None:
        await self.epochs.set_terms(terms, START - HOUR)
        await self.epochs.begin(START + timedelta(seconds=1), seconds)

    async def close(self) -> Epoch:
        """Close the open epoch."""
        epoch = await self.epochs.close(FOREVER, FOREVER)
        assert epoch is not None
        return epoch

    async def balances(self, user_id: UUID) -> Balances:
        return (await self.ledger.balances([user_id]))[user_id]

    async def accruing(self, *user_ids: UUID) -> dict[UUID, list[Accruing]]:
        """What they have done in the epochs that are not closed."""
        return await self.epochs.accruing(user_ids, await self.epochs.unclosed())

    async def check(self) -> None:
        """Nothing is wrong with the ledger, and what pools say is what is booked."""
        found = await prove(self.stores, START)
        assert not found, [finding.detail for finding in found]

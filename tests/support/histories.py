"""One history of people, nodes and faults, happening to a store in memory and to one on PostgreSQL alike."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count, pairwise
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from support.crashes import FOREVER, Dangerous
from support.proofs import prove
from support.stores import Stores, make_node, memory_stores, postgres_stores

from core.clock import ManualClock, new_id, to_ms
from core.errors import Conflict, StorageUnavailable
from services.rewards import Claims
from storage.base import (
    Batch,
    Booked,
    Burst,
    Campaign,
    Opened,
    Place,
    ReferralCode,
    Registration,
    Report,
    ScoreFormula,
    Trait,
)
from storage.base.epochs import Epoch, Terms
from storage.base.referrals import ReferralDecision, TraitKind
from storage.memory import MemoryDatabase
from storage.postgres import Pool, PostgresEpochs
from storage.uptime import HOUR_S

T = TypeVar("T")

START = datetime(2026, 3, 31, 20, tzinfo=UTC)
WORKERS = ("w1", "w2", "w3")
PLACES = {"192.0.2.1": Place(country="DE"), "192.0.2.2": Place(country="FR")}
NO_BURST = Burst(people=1000)


class Work(Struct, frozen=True):
    """What a worker sees of a node: of the hour that is so many after the open epoch's first.

    `size` are bytes.
    """

    node: int
    worker: int
    hour: int
    start: int
    seconds: int
    size: int


class Histories:
    """Two stores to which the same happens. After each step they must agree, and both be sound."""

    def __init__(self, pool: Pool, formula: ScoreFormula) -> None:
        self.clock = ManualClock(START)
        self.pool = pool
        self.memory = memory_stores(MemoryDatabase(clock=self.clock))
        self.postgres = postgres_stores(pool)
        self.people: list[UUID] = []
        self.nodes: list[tuple[UUID, UUID]] = []
        self.closed = 0
        self._formula = formula
        self._connections: dict[UUID, UUID] = {}
        self._codes: dict[UUID, str] = {}
        self._sequences = {worker: count(1) for worker in WORKERS}
        self._sent: list[Batch] = []
        self._withheld: list[Batch] = []
        self._campaigns: list[UUID] = []
        # Which old epochs are computed again.
        self._chance = Random(0)
        # By how many hours the workers' clocks are wrong.
        self._shift = 0

    async def begin(self, terms: Terms, seconds: int = HOUR_S) -> None:
        """Epochs begin."""
        await self._both(lambda stores: stores.epochs.set_terms(terms, START - timedelta(hours=1)))
        await self._both(lambda stores: stores.epochs.begin(START, seconds))

    # --- people and nodes -----------------------------------------------------------------------

    async def join(self, parent: int | None, trait: TraitKind | None) -> None:
        """Somebody comes, brought by the person of that number, and of whom something is known."""
        user_id, n = new_id(), len(self.people)
        token_hash = sha256(user_id.bytes).digest()
        code = None if parent is None else self._codes[self._person(parent)]
        registration = Registration(
            token_hash=token_hash,
            email=f"{user_id}@example.org",
            display_name="Ada",
            password_hash="hash",
            locale="en",
            referral_code=code,
            traits=[] if trait is None else [Trait(trait, f"the same {trait}")],
            created_at=START,
            expires_at=FOREVER,
        )
        own = ReferralCode(
            code=user_id.hex.upper(), user_id=user_id, shown=user_id.hex, alias=False, created_at=START
        )

        async def join(stores: Stores) -> None:
            await stores.confirmations.put_registration(registration, [])
            assert await stores.confirmations.register(token_hash, user_id, START, burst=NO_BURST)
            assert await stores.users.set_wallet(user_id, f"0x{n:040x}")
            assert await stores.referrals.add_code(own, 5) == "added"

        await self._both(join)
        self.people.append(user_id)
        self._codes[user_id] = own.code

    async def enrol(self, person: int, hours_old: int, address: str = "") -> None:
        """A node of somebody's comes, from one of `PLACES`; nothing if they are gone."""
        owner = self._person(person)
        if await self.memory.users.by_id(owner) is None:
            return
        node = make_node(owner, created_at=START - timedelta(hours=hours_old))
        connection = self._connections[node.node_id] = new_id()
        await self._both(lambda stores: stores.nodes.enrol(node))
        self.nodes.append((owner, node.node_id))
        await self._send(
            Batch(
                "w1", next(self._sequences["w1"]), [Opened(node.node_id, connection, to_ms(START), address)]
            )
        )

    async def erase(self, person: int) -> None:
        """Somebody's account is deleted."""
        await self._both(lambda stores: stores.users.erase(self._person(person), START))

    async def retire(self, node: int) -> None:
        """A node is given up."""
        if self.nodes:
            owner, node_id = self.nodes[node % len(self.nodes)]
            await self._both(lambda stores: stores.nodes.retire(owner, node_id, START))

    async def suspend(self, node: int, suspended: bool) -> None:
        """The staff suspends a node, or lets it work again."""
        if self.nodes:
            _, node_id = self.nodes[node % len(self.nodes)]
            await self._both(lambda stores: stores.uptime.suspend(node_id, suspended, START))

    # --- work -----------------------------------------------------------------------------------

    async def work(self, work: Work, *, late: bool) -> None:
        """A worker saw a node work; `late`: nobody hears of it yet."""
        if not self.nodes:
            return
        _, node_id = self.nodes[work.node % len(self.nodes)]
        epoch = await self.memory.epochs.open()
        assert epoch is not None
        hour = int(epoch.starts_at.timestamp()) // HOUR_S + work.hour + self._shift
        end = min(work.start + work.seconds, HOUR_S)
        report = Report(
            node_id,
            self._connections[node_id],
            hour,
            work.start,
            end,
            hour * HOUR_S + end,
            bytes_up=work.size,
            bytes_down=work.size // 3,
            answered=9,
        )
        worker = WORKERS[work.worker]
        batch = Batch(worker, next(self._sequences[worker]), [report])
        if late:
            self._withheld.append(batch)
        else:
            await self._send(batch)

    async def deliver(self, seed: int) -> None:
        """All that was late comes, in any order."""
        batches = self.take_late()
        Random(seed).shuffle(batches)
        await self._send(*batches)

    def take_late(self) -> list[Batch]:
        """All that is late, for somebody else to deliver."""
        batches, self._withheld = self._withheld, []
        return batches

    async def replay(self, seed: int) -> None:
        """All that ever came comes again, three times, in any order."""
        before = await _accruing(self.people)(self.memory)
        batches, dice = self._sent * 3, Random(seed)
        dice.shuffle(batches)
        while batches:
            size = dice.randint(1, 10)
            some, batches = batches[:size], batches[size:]
            await self._both(lambda stores, some=some: stores.uptime.apply(some, PLACES))
        assert await _accruing(self.people)(self.memory) == before

    async def turn_back(self, hours: int) -> None:
        """The clocks of all who measure are set by so many hours."""
        self._shift = max(-2, min(1, self._shift + hours))

    async def score(self) -> None:
        """Scores are computed anew."""
        await self._both(lambda stores: stores.scores.recompute(START + timedelta(hours=3), self._formula))

    # --- epochs ---------------------------------------------------------------------------------

    async def activate(self, seconds: int) -> None:
        """Those who have done so much count for who brought them."""
        await self._both(lambda stores: stores.referrals.activate(START, seconds))

    async def close(self, statement: int | None = None) -> None:
        """The open epoch is closed; with a number, PostgreSQL's session dies at that statement first."""
        closing = PostgresEpochs(Dangerous(self.pool, statement)) if statement else self.postgres.epochs
        try:
            epoch = await closing.close(FOREVER, FOREVER)
        except StorageUnavailable:
            assert statement
            await self.agree()
            epoch = await self.postgres.epochs.close(FOREVER, FOREVER)
        assert epoch == await self.memory.epochs.close(FOREVER, FOREVER)
        assert epoch is not None
        self.closed = epoch.number
        await self._same(_epochs)
        for user_id in self.people:
            await self._same(lambda stores, user_id=user_id: stores.epochs.inputs(self.closed, user_id))
            await self._same(lambda stores, user_id=user_id: stores.epochs.bonus_inputs(self.closed, user_id))
        await self._same(_accruing(self.people))
        await self._same(lambda stores: stores.epochs.measure(START))
        await self._same(lambda stores: stores.epochs.unclosed())
        campaigns = await self._same(lambda stores: stores.campaigns.campaigns(None, 100))
        assert all(campaign.spent <= campaign.budget for campaign in campaigns)

    async def terms(self, terms: Terms) -> None:
        """Other terms hold from the next epoch on."""
        await self._same(lambda stores: stores.epochs.set_terms(terms, START))

    async def length(self, seconds: int) -> None:
        """Epochs shall have another length."""
        await self._both(lambda stores: stores.epochs.begin(START, seconds))

    async def campaign(self, country: str | None, minutes: range, share: int, budget: int) -> None:
        """The staff plans a campaign, in the minutes from the beginning."""
        campaign = Campaign(
            campaign_id=new_id(),
            name="spring",
            starts_at=START + timedelta(minutes=minutes.start),
            ends_at=START + timedelta(minutes=minutes.stop),
            country=country,
            share=share,
            budget=budget,
            created_at=START,
            updated_at=START,
            updated_by=self.people[0],
        )
        await self._same(lambda stores: stores.campaigns.add(campaign, 10))
        self._campaigns.append(campaign.campaign_id)

    async def change_budget(self, place: int, budget: int) -> None:
        """The staff gives a campaign more, or less."""
        if self._campaigns:
            campaign = await self.memory.campaigns.campaign(self._campaigns[place % len(self._campaigns)])
            if campaign is not None:
                changed = replace(campaign, budget=budget, version=campaign.version + 1)
                await self._same(lambda stores: stores.campaigns.change(changed))

    # --- people and their money -----------------------------------------------------------------

    async def claim(self, person: int, times: int) -> None:
        """Somebody claims, so many times at once."""
        user_id = self._person(person)

        async def claim(stores: Stores) -> list[str]:
            claims = Claims(ledger=stores.ledger, epochs=stores.epochs, users=stores.users, clock=self.clock)
            answers = await asyncio.gather(
                *(claims.claim(user_id) for _ in range(times)), return_exceptions=True
            )
            wrong = [
                each for each in answers if isinstance(each, BaseException) and not isinstance(each, Conflict)
            ]
            assert not wrong
            return [each.amount for each in answers if not isinstance(each, BaseException)]

        paid = await self._same(claim)
        assert len(paid) <= 1

    async def decide(self, person: int, decision: ReferralDecision, *, subtree: bool) -> None:
        """The staff decides about how somebody came."""
        await self._same(
            lambda stores: stores.referrals.decide(
                self._person(person), decision, START, self.people[0], "", subtree=subtree
            )
        )

    # --- what must hold -------------------------------------------------------------------------

    async def agree(self, *, sound: bool = True) -> None:
        """Both have the same figures; `sound`: nothing is wrong with either."""
        for stores in (self.memory, self.postgres) if sound else ():
            assert await prove(stores, START, self._chance.randint) == []
        await self._same(self._figures)

    async def agree_in_all(self) -> None:
        """As `agree`, and what each person's history says is the same too."""
        await self.agree()
        for user_id in self.people:
            await self._same(lambda stores, user_id=user_id: _history(stores, user_id))
            await self._same(lambda stores, user_id=user_id: stores.referrals.counts(user_id))

    async def _figures(self, stores: Stores) -> tuple[Any, ...]:
        return await stores.ledger.house(), await stores.ledger.balances(self.people)

    async def _send(self, *batches: Batch) -> None:
        if batches:
            self._sent.extend(batches)
            await self._both(lambda stores: stores.uptime.apply(list(batches), PLACES))

    async def _both(self, do: Callable[[Stores], Awaitable[Any]]) -> None:
        for stores in (self.memory, self.postgres):
            await do(stores)

    async def _same(self, do: Callable[[Stores], Awaitable[T]]) -> T:
        first, second = [await do(stores) for stores in (self.memory, self.postgres)]
        assert first == second
        return first

    def _person(self, place: int) -> UUID:
        return self.people[place % len(self.people)]


def _accruing(people: Sequence[UUID]) -> Callable[[Stores], Awaitable[Any]]:
    async def accruing(stores: Stores) -> Any:
        return await stores.epochs.accruing(people, await stores.epochs.unclosed())

    return accruing


async def _epochs(stores: Stores) -> Sequence[Epoch]:
    """Each begins where the one before ended."""
    epochs = await stores.epochs.epochs(None, 1000)
    assert [epoch.number for epoch in epochs] == list(range(len(epochs), 0, -1))
    for after, before in pairwise(epochs):
        assert before.ends_at == after.starts_at
    return epochs


async def _history(stores: Stores, user_id: UUID) -> list[tuple[Any, ...]]:
    """What was booked for somebody; ids are the store's own."""
    found = await stores.ledger.history(user_id, None, 10_000)
    return sorted((_comparable(booked) for booked in found), key=str)


def _comparable(booked: Booked) -> tuple[Any, ...]:
    own = booked.key.startswith(("claim:", "referral:"))
    key = booked.key.partition(":")[0] if own else booked.key
    return key, booked.kind, booked.epoch, booked.at, booked.postings

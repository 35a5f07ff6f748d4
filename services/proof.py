"""Proving that every figure that anybody is shown is what the postings come to.

All of it is of one moment, and asked by the same code that answers people: the ledger's own invariants, those
of epochs, claims and referrals with it, everybody's figures on each screen, and some epochs computed again.
The leaves of a settlement belong here as soon as there are settlements: they are one more screen.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime
from random import randint
from time import perf_counter_ns
from typing import Final, Generic, TypeVar, cast
from uuid import UUID

from msgspec import Struct

from core.messages import Overview
from services.earnings import Earnings
from services.rewards import Claims
from services.states import states_of
from storage.base import (
    HOUSE,
    Balances,
    EpochStore,
    Finding,
    Helped,
    LedgerStore,
    Posting,
    ProofStore,
    Recorded,
)
from storage.ledger import INVARIANTS as OF_THE_LEDGER
from storage.proofs import INVARIANTS as OF_EVERYTHING
from storage.proofs import Recomputation, finding

# People whose figures are compared together.
PAGE: Final = 1000
# The newest epochs are computed again, and so many older ones by chance.
NEWEST: Final = 1
BY_CHANCE: Final = 1

# From before the first booking to after the last.
_ALWAYS: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
# What belongs to somebody.
Row = TypeVar("Row", Recorded, Helped, Posting)


class Books(Struct, frozen=True, kw_only=True):
    """Stores and services over one moment, with a clock that stands still."""

    ledger: LedgerStore
    epochs: EpochStore
    proofs: ProofStore
    earnings: Earnings
    claims: Claims


Open = Callable[[], AbstractAsyncContextManager[Books]]


class Verdict(Struct, frozen=True, kw_only=True):
    """What came out of it, how many people and epochs it was about, and how many milliseconds it took."""

    findings: list[Finding]
    people: int
    epochs: list[int]
    milliseconds: int


class Proof:
    """Looks for the first offence against each invariant. Changes nothing."""

    def __init__(self, open_books: Open, chance: Callable[[int, int], int] = randint) -> None:
        """`chance` gives a number between two, both included."""
        self._open = open_books
        self._chance = chance

    async def run(self) -> Verdict:
        """Look at everything.

        Raises:
            StorageUnavailable: call it again.
        """
        began_ns = perf_counter_ns()
        async with self._open() as books:
            found = [*await books.ledger.check(), *await books.proofs.check()]
            people = 0
            # An account that nobody has cannot be shown either.
            if not any(each.invariant == "account" for each in found):
                people, wrong = await self._figures(books)
                found += wrong
            epochs = await self._chosen(books)
            for number in epochs:
                if (wrong_again := await _computed_again(books, number)) is not None:
                    found.append(wrong_again)
        first = {each.invariant: each for each in reversed(found)}
        order = [*OF_THE_LEDGER, *OF_EVERYTHING]
        return Verdict(
            findings=[first[name] for name in order if name in first],
            people=people,
            epochs=epochs,
            milliseconds=(perf_counter_ns() - began_ns) // 1_000_000,
        )

    async def _figures(self, books: Books) -> tuple[int, list[Finding]]:
        """Everybody's figures, page by page; returns how many people that were."""
        people, after = 0, None
        found: Finding | None = None
        while sums := await books.proofs.sums(after, PAGE):
            people, after = people + len(sums), max(sums)
            found = found or await self._page(books, sums)
        return people, [found] if found else []

    async def _page(self, books: Books, sums: Mapping[UUID, Balances]) -> Finding | None:
        """What people are shown that differs from what their postings come to.

        Everybody's overview and states are compared; one of them is asked for everything there is.
        """
        people = list(sums)
        overviews = await books.earnings.overviews(people)
        balances = await books.ledger.balances(people)
        for user_id in people:
            booked = states_of(sums[user_id])
            found = _compare("me", user_id, {"balance": overviews[user_id].balance}, booked)
            found = found or _compare("the ledger", user_id, states_of(balances[user_id]), booked)
            if found is not None:
                return found
        one = people[self._chance(0, len(people) - 1)]
        return await _ask(books, one, states_of(sums[one]), overviews[one])

    async def _chosen(self, books: Books) -> list[int]:
        """The newest epochs, and others by chance, of which it is kept what they were computed from."""
        oldest = await books.proofs.oldest_recorded()
        if oldest is None:
            return []
        chosen = [epoch.number for epoch in await books.epochs.epochs(None, NEWEST) if epoch.number >= oldest]
        last = min(chosen, default=oldest) - 1
        older = {self._chance(oldest, last) for _ in range(BY_CHANCE)} if last >= oldest else set()
        return [*chosen, *sorted(older, reverse=True)]


async def _ask(books: Books, user_id: UUID, booked: Mapping[str, str], overview: Overview) -> Finding | None:
    """All that somebody can ask for."""
    summary = await books.earnings.summary(user_id)
    rewards = await books.claims.rewards(user_id)
    earned = await books.ledger.earned(user_id, _ALWAYS)
    screens: dict[str, dict[str, str]] = {
        "GET /earnings/summary": {name: getattr(summary, name) for name in booked},
        "GET /rewards": {name: getattr(rewards, name) for name in booked},
        "GET /earnings/series": {"balance": str(sum(each.amount for each in earned))},
    }
    for screen, shown in screens.items():
        if found := _compare(screen, user_id, shown, booked):
            return found
    if summary.accruing != overview.accruing:
        return finding(
            "figure",
            screen="me",
            shown=overview.accruing,
            figure="accruing",
            user_id=user_id,
            amount=summary.accruing,
        )
    return None


def _compare(
    screen: str, user_id: UUID, shown: Mapping[str, str], booked: Mapping[str, str]
) -> Finding | None:
    for figure, text in shown.items():
        if text != booked[figure]:
            return finding(
                "figure", screen=screen, shown=text, figure=figure, user_id=user_id, amount=booked[figure]
            )
    return None


async def _computed_again(books: Books, number: int) -> Finding | None:
    """The first thing in an epoch that its inputs and terms do not come to."""
    epoch = await books.epochs.epoch(number)
    versions = {version.version: version.terms for version in await books.epochs.terms()}
    if epoch is None or epoch.terms not in versions:
        # That an epoch or its terms are missing was found already.
        return None
    # They are everybody's.
    campaigns = (await books.epochs.bonus_inputs(number, HOUSE)).campaigns
    again = Recomputation(epoch, versions[epoch.terms], campaigns)
    async with (
        _reading(books.proofs.recorded(number)) as nodes,
        _reading(books.proofs.helped(number)) as helped,
        _reading(books.proofs.rewarded(number)) as bookings,
    ):
        while again.found is None:
            heads = [reader.head.user_id for reader in (nodes, helped, bookings) if reader.head]
            if not heads:
                again.end()
                break
            user_id = min(heads)
            again.person(
                user_id, await nodes.take(user_id), await helped.take(user_id), await bookings.take(user_id)
            )
    return again.found


class _Reader(Generic[Row]):
    """Rows in the order of their owners, of which `head` comes next."""

    def __init__(self, rows: AsyncIterator[Row], head: Row | None) -> None:
        self._rows: AsyncIterator[Row] = rows
        self.head: Row | None = head

    async def take(self, user_id: UUID) -> list[Row]:
        """All of somebody's, if those come next."""
        taken = []
        while self.head is not None and self.head.user_id == user_id:
            taken.append(self.head)
            self.head = await anext(self._rows, None)
        return taken


@asynccontextmanager
async def _reading(rows: AsyncIterator[Row]) -> AsyncGenerator[_Reader[Row], None]:
    async with aclosing(cast("AsyncGenerator[Row, None]", rows)):
        yield _Reader(rows, await anext(rows, None))

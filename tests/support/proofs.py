"""Everything that is kept of earnings, proved: what ``pulseboard ledger check`` finds."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from random import randint

from support.stores import Stores

from core.clock import ManualClock
from services.earnings import Earnings
from services.proof import Books, Proof
from services.rewards import Claims
from storage.base import Finding

SETTLING = 60


def books_of(stores: Stores, now: datetime | None = None) -> Callable[[], AbstractAsyncContextManager[Books]]:
    """What a proof opens, over these stores."""

    @asynccontextmanager
    async def open_books() -> AsyncIterator[Books]:
        clock = ManualClock(now or datetime.now(UTC))
        async with stores.moment() as (proofs, still):
            yield Books(
                ledger=still.ledger,
                epochs=still.epochs,
                proofs=proofs,
                earnings=Earnings(
                    figures=still.figures,
                    ledger=still.ledger,
                    epochs=still.epochs,
                    users=still.users,
                    clock=clock,
                    settling=SETTLING,
                ),
                claims=Claims(ledger=still.ledger, epochs=still.epochs, users=still.users, clock=clock),
            )

    return open_books


async def prove(
    stores: Stores, now: datetime | None = None, chance: Callable[[int, int], int] = randint
) -> list[Finding]:
    """All that does not hold; `now` is when somebody looks."""
    return (await Proof(books_of(stores, now), chance).run()).findings

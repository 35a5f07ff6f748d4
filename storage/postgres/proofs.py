"""Proofs, within a snapshot."""

from collections.abc import AsyncIterator
from typing import Final, get_args
from uuid import UUID

from storage.base.ledger import HOUSE, Balances, Finding, Posting, UserAccount
from storage.base.proofs import Helped, Recorded
from storage.postgres.epochs import PostgresEpochs
from storage.postgres.ledger import plain
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.proofs import STORED, finding, most_shares, pay_keys

_SQL = load("proofs")
_ACCOUNTS: Final = frozenset(get_args(UserAccount))
# In PostgreSQL's own units, for each step that sorts or gathers.
_WORK_MEMORY = "256MB"
# Rows that are fetched at once of what is read row by row.
_PAGE = 2000


class PostgresProofs:
    """`ProofStore` on PostgreSQL: all by statements over everything, of which only what offends comes here.

    Nodes and bookings come row by row: the memory that it takes does not grow with them.
    """

    def __init__(self, snapshot: Pool) -> None:
        """`snapshot` is one of `Pool.snapshot`: all answers are of its moment."""
        self._snapshot = snapshot

    async def check(self) -> list[Finding]:
        found = []
        async with self._snapshot.connection() as connection:
            await connection.execute(_SQL["room"], _WORK_MEMORY)
            versions = await PostgresEpochs(self._snapshot).terms()
            await connection.execute(_SQL["plan"], "off")
            for invariant in STORED:
                arguments = [most_shares(versions)] if invariant == "commission_share" else []
                row = await connection.fetchrow(_SQL[f"check_{invariant}"], *arguments)
                if row is not None:
                    found.append(finding(invariant, **{name: plain(value) for name, value in row.items()}))
            await connection.execute(_SQL["plan"], "on")
        return found

    async def sums(self, after: UUID | None, limit: int) -> dict[UUID, Balances]:
        people = [row["user_id"] for row in await self._snapshot.fetch(_SQL["people"], after or HOUSE, limit)]
        accounts: dict[UUID, dict[str, int]] = {user_id: {} for user_id in people}
        if people:
            for row in await self._snapshot.fetch(_SQL["sums"], people[0], people[-1]):
                if row["account"] in _ACCOUNTS and row["user_id"] in accounts:
                    accounts[row["user_id"]][row["account"]] = int(row["amount"])
        return {user_id: Balances(**found) for user_id, found in accounts.items()}

    async def oldest_recorded(self) -> int | None:
        row = await self._snapshot.fetchrow(_SQL["oldest_recorded"])
        oldest: int | None = row["min"]
        return oldest

    async def recorded(self, number: int) -> AsyncIterator[Recorded]:
        async with self._snapshot.connection() as connection:
            async for row in connection.cursor(_SQL["recorded"], number, prefetch=_PAGE):
                yield Recorded(**row)

    async def helped(self, number: int) -> AsyncIterator[Helped]:
        async with self._snapshot.connection() as connection:
            async for row in connection.cursor(_SQL["helped"], number, prefetch=_PAGE):
                yield Helped(**row)

    async def rewarded(self, number: int) -> AsyncIterator[Posting]:
        async with self._snapshot.connection() as connection:
            entries = await connection.fetch(_SQL["entries"], pay_keys(number))
            arguments = [row["entry_id"] for row in entries], [row["at"] for row in entries]
            async for row in connection.cursor(_SQL["rewarded"], *arguments, prefetch=_PAGE):
                yield Posting(**{**row, "amount": int(row["amount"])})

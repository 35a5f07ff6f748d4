"""The ledger."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.errors import Conflict, InvalidInput
from storage.base.ledger import (
    FOREVER,
    HOUSE,
    Balances,
    Booked,
    Category,
    Earned,
    Entry,
    Finding,
    Posting,
    UserAccount,
)
from storage.ledger import INVARIANTS, finding, sound, waves
from storage.postgres.errors import undeadlocked
from storage.postgres.pool import Pool
from storage.postgres.queries import load

_SQL = load("ledger")
_FIGURES = load("figures")
# Greater than every id there will be.
_LAST = 2**63 - 1
# Seconds that a check of everything may take.
_CHECK = 3600
# In PostgreSQL's own units, for each step of it that sorts or gathers.
_WORK_MEMORY = "256MB"


class PostgresLedger:
    """`LedgerStore` on PostgreSQL.

    The schema's own triggers keep the balances and refuse what does not balance.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def book(self, entries: Sequence[Entry]) -> int:
        wanted: dict[str, Entry] = {}
        for entry in entries:
            wanted.setdefault(entry.key, sound(entry))

        async def booked() -> int:
            async with self._pool.transaction() as connection:
                with _refusals():
                    return await book_entries(connection, list(wanted.values()))

        return await undeadlocked(booked)

    async def balances(self, user_ids: Sequence[UUID]) -> dict[UUID, Balances]:
        accounts: dict[UUID, dict[str, int]] = {user_id: {} for user_id in user_ids}
        for row in await self._pool.fetch(_SQL["balances"], user_ids):
            accounts[row["user_id"]][row["account"]] = int(row["amount"])
        return {user_id: Balances(**found) for user_id, found in accounts.items()}

    async def amounts(self, user_id: UUID, account: UserAccount) -> dict[Category, int]:
        rows = await self._pool.fetch(_SQL["amounts"], user_id, account)
        return {row["category"]: int(row["amount"]) for row in rows}

    async def house(self) -> dict[str, int]:
        found = {"issued": 0, "unallocated": 0, "corrections": 0}
        rows = await self._pool.fetch(_SQL["balances"], [HOUSE])
        return found | {row["account"]: int(row["amount"]) for row in rows}

    async def history(self, user_id: UUID, before: int | None, limit: int) -> list[Booked]:
        rows = await self._pool.fetch(_SQL["history"], user_id, _LAST if before is None else before, limit)
        return [_booked(user_id, list(lines)) for _, lines in groupby(rows, lambda row: row["entry_id"])]

    async def earned(self, user_id: UUID, edges: Sequence[datetime]) -> list[Earned]:
        if len(edges) < 2:
            return []
        rows = await self._pool.fetch(_SQL["earned"], user_id, edges, edges[0], edges[-1])
        return [
            Earned(start=edges[row["span"] - 1], category=row["category"], amount=int(row["amount"]))
            for row in rows
        ]

    async def check(self) -> list[Finding]:
        found = []
        # One moment for all of them: others go on booking.
        async with self._pool.snapshot(_CHECK) as snapshot, snapshot.connection() as connection:
            await connection.execute(_SQL["room"], _WORK_MEMORY)
            for invariant in INVARIANTS:
                row = await connection.fetchrow(_SQL[f"check_{invariant}"])
                if row is not None:
                    found.append(finding(invariant, **{name: plain(value) for name, value in row.items()}))
        return found


async def book_entries(connection: Any, entries: Sequence[Entry]) -> int:
    """Book sound entries in the connection's transaction; returns how many were not there yet."""
    booked: list[tuple[int, Entry]] = []
    for wave in waves(entries):
        by_key = {entry.key: entry for entry in wave}
        rows = await connection.fetch(
            _SQL["add_entries"],
            list(by_key),
            [entry.kind for entry in wave],
            [entry.epoch for entry in wave],
            [entry.at for entry in wave],
            [entry.reverses for entry in wave],
            [msgspec.json.encode(entry.memo).decode() for entry in wave],
        )
        for row in rows:
            entry = by_key[row["key"]]
            if entry.reverses is not None and row["reverses"] is None:
                raise InvalidInput("entry_unknown", f"Entry {entry.key} takes back one that there is not.")
            booked.append((row["entry_id"], entry))
    if booked:
        await connection.execute(_SQL["open_months"], [entry.at for _, entry in booked])
        # All in one statement: that is how the triggers see whole entries.
        await connection.execute(_SQL["post"], *_columns(_lines(booked)))
        await connection.execute(_FIGURES["count_change"])
    return len(booked)


def _lines(booked: Iterable[tuple[int, Entry]]) -> Iterator[tuple[Any, ...]]:
    for entry_id, entry in booked:
        for posting in entry.postings:
            yield (
                entry_id,
                entry.at,
                posting.user_id,
                posting.account,
                posting.category,
                posting.matures_at or FOREVER,
                Decimal(posting.amount),
            )


def _columns(lines: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    columns: list[list[Any]] = [[] for _ in range(7)]
    for line in lines:
        for column, value in zip(columns, line, strict=True):
            column.append(value)
    return columns


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except asyncpg.CheckViolationError as error:
        if error.constraint_name != "ledger_balance_overdrawn":
            raise
        raise Conflict("overdrawn", "There is not that much in the account.") from error
    except asyncpg.NumericValueOutOfRangeError as error:
        raise InvalidInput("posting_invalid", "A balance would be beyond all bounds.") from error


def _booked(user_id: UUID, lines: Sequence[Any]) -> Booked:
    first = lines[0]
    return Booked(
        entry_id=first["entry_id"],
        key=first["key"],
        kind=first["kind"],
        epoch=first["epoch"],
        at=first["at"],
        postings=[
            Posting(
                user_id=user_id,
                account=line["account"],
                category=line["category"],
                amount=int(line["amount"]),
                matures_at=line["matures_at"],
            )
            for line in lines
        ],
    )


def plain(value: Any) -> Any:
    """A value of a row; a whole number where the driver has a decimal."""
    return int(value) if isinstance(value, Decimal) else value

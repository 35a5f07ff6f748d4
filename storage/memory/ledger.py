"""The ledger."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from core.errors import Conflict, InvalidInput
from storage.base.ledger import (
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
from storage.ledger import (
    BALANCE_MOST,
    audit,
    is_overdrawn,
    sound,
    sums_by_account,
)
from storage.memory.database import MemoryDatabase, require_storable

_NEVER = datetime.max.replace(tzinfo=UTC)


class MemoryLedger:
    """`LedgerStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def book(self, entries: Sequence[Entry]) -> int:
        return book(self._db, entries)

    async def balances(self, user_ids: Sequence[UUID]) -> dict[UUID, Balances]:
        wanted: dict[UUID, Counter[str]] = {user_id: Counter() for user_id in user_ids}
        for (user_id, account, _), amount in self._db.balances.items():
            if user_id in wanted:
                wanted[user_id][account] += amount
        return {user_id: Balances(**accounts) for user_id, accounts in wanted.items()}

    async def amounts(self, user_id: UUID, account: UserAccount) -> dict[Category, int]:
        return {
            category: amount
            for (owner, name, category), amount in sorted(self._db.balances.items())
            if (owner, name) == (user_id, account) and amount
        }

    async def house(self) -> dict[str, int]:
        found = Counter({"issued": 0, "unallocated": 0, "corrections": 0})
        for (user_id, account, _), amount in self._db.balances.items():
            if user_id == HOUSE:
                found[account] += amount
        return dict(found)

    async def history(self, user_id: UUID, before: int | None, limit: int) -> list[Booked]:
        found = []
        for entry_id, entry in enumerate(self._db.entries, 1):
            postings = [posting for posting in entry.postings if posting.user_id == user_id]
            if postings:
                found.append(
                    Booked(
                        entry_id=entry_id,
                        key=entry.key,
                        kind=entry.kind,
                        epoch=entry.epoch,
                        at=entry.at,
                        postings=sorted(postings, key=_in_order),
                    )
                )
        found.sort(key=lambda booked: (booked.at, booked.entry_id), reverse=True)
        if before is not None and 1 <= before <= len(self._db.entries):
            mark = self._db.entries[before - 1].at, before
            found = [booked for booked in found if (booked.at, booked.entry_id) < mark]
        return found[:limit]

    async def earned(self, user_id: UUID, edges: Sequence[datetime]) -> list[Earned]:
        sums: dict[tuple[datetime, Category], int] = {}
        for entry in self._db.entries:
            span = bisect_right(edges, entry.at)
            if not 0 < span < len(edges):
                continue
            for posting in entry.postings:
                if posting.user_id == user_id:
                    key = edges[span - 1], posting.category
                    sums[key] = sums.get(key, 0) + posting.amount
        return [
            Earned(start=start, category=category, amount=amount)
            for (start, category), amount in sorted(sums.items())
        ]

    async def check(self) -> list[Finding]:
        return audit(self._db.entries, self._db.balances)


def book(database: MemoryDatabase, entries: Sequence[Entry]) -> int:
    """What `LedgerStore.book` says, at once: for adapters that book along with something else."""
    wanted: dict[str, Entry] = {}
    for entry in entries:
        require_storable(entry.key, entry.memo, entry.reverses)
        booked = sound(entry)
        if entry.key not in database.entry_ids:
            wanted.setdefault(entry.key, booked)
    known: set[str] = set()
    for entry in wanted.values():
        if entry.reverses is not None and entry.reverses not in known | database.entry_ids.keys():
            raise InvalidInput("entry_unknown", f"Entry {entry.key} takes back one that there is not.")
        known.add(entry.key)
    changes = sums_by_account(wanted.values())
    balances = {key: database.balances.get(key, 0) + change for key, change in changes.items()}
    for (_, account, _), amount in balances.items():
        if abs(amount) > BALANCE_MOST:
            raise InvalidInput("posting_invalid", "A balance would be beyond all bounds.")
        if is_overdrawn(account, amount):
            raise Conflict("overdrawn", "There is not that much in the account.")
    database.balances.update(balances)
    for entry in wanted.values():
        database.entries.append(entry)
        database.entry_ids[entry.key] = len(database.entries)
    database.changes += bool(wanted)
    return len(wanted)


def _in_order(posting: Posting) -> tuple[str, str, datetime]:
    return posting.account, posting.category, posting.matures_at or _NEVER

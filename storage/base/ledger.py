"""The ledger: every figure that anybody is shown is a sum of its postings."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from msgspec import Struct

# The owner of the accounts that money comes from and of what nobody got.
HOUSE = UUID(int=0)
FOREVER = datetime.max  # noqa: DTZ901 - as the driver spells PostgreSQL's infinity

# A person's accounts, in the order in which an amount goes through them. `held` is kept back longer
# because the node is young.
UserAccount = Literal["pending", "held", "final", "claimable", "claimed"]
# The house's: `issued` (the source, never positive), `unallocated` (what of a pool nobody got),
# `corrections` (what corrections cost after all), `lost` (what was to be taken back and had been claimed).
HouseAccount = Literal["issued", "unallocated", "corrections", "lost"]
Account = UserAccount | HouseAccount
# What an amount was earned by; every posting of it has the same, in whichever account.
Category = Literal["availability", "usage", "streak", "first_hours", "campaign", "referral"]
Kind = Literal[
    "reward", "bonus", "referral", "correction", "release", "payable", "claim", "clawback", "adjustment"
]


class Posting(Struct, frozen=True, kw_only=True):
    """An `amount` of micro-points, never 0, to an account of `user_id`.

    `matures_at` is when what is pending or held becomes final, None in other accounts.
    """

    user_id: UUID
    account: Account
    category: Category
    amount: int
    matures_at: datetime | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """Postings that come to 0 for each category. `key` is what makes it the same as another one.

    `at` is the time it stands for: the beginning of `epoch`, in which it was booked. `reverses` is the
    key of the entry that it takes back, wholly or in part.
    """

    key: str
    kind: Kind
    epoch: int
    at: datetime
    postings: Sequence[Posting]
    reverses: str | None = None
    memo: dict[str, Any] = {}


class Balances(Struct, frozen=True, kw_only=True):
    """A person's accounts; what is in none of them is 0. `earned` is their sum."""

    pending: int = 0
    held: int = 0
    final: int = 0
    claimable: int = 0
    claimed: int = 0

    @property
    def earned(self) -> int:
        """All that was ever earned and not taken back."""
        return self.pending + self.held + self.final + self.claimable + self.claimed


class Booked(Struct, frozen=True, kw_only=True):
    """A line of somebody's history: what an entry came to for them, by category and account."""

    entry_id: int
    key: str
    kind: Kind
    epoch: int
    at: datetime
    postings: list[Posting]


class Earned(Struct, frozen=True, kw_only=True):
    """What somebody earned by a category in a span of time that begins at `start`."""

    start: datetime
    category: Category
    amount: int


class Finding(Struct, frozen=True, kw_only=True):
    """An invariant that does not hold: its name, the first offending row, and in words what is wrong."""

    invariant: str
    row: dict[str, Any]
    detail: str


class LedgerStore(Protocol):
    """Append-only accounts. Balances are those of all that is booked, at any moment.

    The store itself refuses an entry whose postings do not come to 0 for each category, and any change
    of what is booked. Amounts are up to 10^37.
    """

    async def book(self, entries: Sequence[Entry]) -> int:
        """Book those `entries` whose key is not taken yet, all or none; returns how many.

        Postings to the same account, category and maturity are one, and none when they come to 0. Owners
        need not exist: what is booked outlives accounts.

        Raises:
            InvalidInput: "entry_unbalanced"; "entry_unknown" when what it reverses is not there;
                "posting_invalid" when there is no such account, or an amount is beyond all bounds.
            Conflict: "overdrawn": a person's final, claimable or claimed would fall below 0 in a category.
        """
        ...

    async def balances(self, user_ids: Sequence[UUID]) -> dict[UUID, Balances]:
        """Of each of them, all from one moment."""
        ...

    async def amounts(self, user_id: UUID, account: UserAccount) -> dict[Category, int]:
        """What one of a person's accounts has by category, without those that come to 0."""
        ...

    async def house(self) -> dict[str, int]:
        """The house's accounts by name; `lost` only where something ever was."""
        ...

    async def history(self, user_id: UUID, before: int | None, limit: int) -> list[Booked]:
        """Entries with a posting of theirs, the newest first by the time they stand for, and then by id.

        Those after the entry with the id `before`; None: from the beginning. Postings are in order of
        account, category and maturity (those without one last).
        """
        ...

    async def earned(self, user_id: UUID, edges: Sequence[datetime]) -> list[Earned]:
        """What they earned between each two neighbours of `edges` (ascending), by category, in order of time.

        An entry counts at the time it stands for. Moves between accounts of theirs come to nothing. Spans
        without any posting are left out.
        """
        ...

    async def check(self) -> list[Finding]:
        """The first offence against each invariant of the ledger alone; empty: all is well."""
        ...

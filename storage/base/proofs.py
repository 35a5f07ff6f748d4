"""Proofs: that what stores keep of earnings fits together, and the material to compute it again."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from storage.base.ledger import Balances, Finding, Posting


class Recorded(Struct, frozen=True, kw_only=True):
    """What a node was measured with in a closed epoch and what it came to, as it was kept.

    `erased`: its owner's account is by now, and may have been then: who is erased is paid nothing.
    `created_at` None: that is not known any more.
    """

    node_id: UUID
    user_id: UUID
    erased: bool
    created_at: datetime | None
    seconds: int
    score: int | None
    gate: int
    country: str | None
    bytes: int
    availability: int
    usage: int


class Helped(Struct, frozen=True, kw_only=True):
    """What the bonuses of somebody in a closed epoch were made from, as in `BonusInputs`."""

    user_id: UUID
    first_seconds: int
    streak: int


class ProofStore(Protocol):
    """Everything of one moment, whoever books meanwhile. Changes nothing."""

    async def check(self) -> list[Finding]:
        """The first offence against each invariant of epochs, bookings, claims and referrals together.

        Those of the ledger alone are `LedgerStore.check`'s.
        """
        ...

    async def sums(self, after: UUID | None, limit: int) -> dict[UUID, Balances]:
        """What the postings of people with ids behind `after` come to, of so many of them, in their order."""
        ...

    async def oldest_recorded(self) -> int | None:
        """The oldest epoch of which it is kept what nodes were measured with."""
        ...

    def recorded(self, number: int) -> AsyncIterator[Recorded]:
        """The nodes of a closed epoch, in the order of their owners."""
        ...

    def helped(self, number: int) -> AsyncIterator[Helped]:
        """Those who had a bonus for what they did themselves in a closed epoch, in their order."""
        ...

    def rewarded(self, number: int) -> AsyncIterator[Posting]:
        """What the close of an epoch booked for work and bonuses, in people's order; not corrections."""
        ...

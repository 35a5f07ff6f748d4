"""What every screen is made of, all of one moment."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from storage.base.epochs import Accruing, OpenEpoch
from storage.base.ledger import Balances
from storage.base.uptime import UserTotals


class Figure(Struct, frozen=True, kw_only=True):
    """What is known of a person: their nodes, what is booked, and their weights by epoch."""

    totals: UserTotals
    balances: Balances
    weights: list[Accruing]


class Figures(Struct, frozen=True, kw_only=True):
    """What is known of people, and of the epochs that are not closed (`EpochStore.unclosed`).

    Of two with the same `revision` all is the same, and of the greater one newer: it grows with what is
    measured, summed up and booked.
    """

    revision: int
    epochs: list[OpenEpoch]
    people: dict[UUID, Figure]


class FigureStore(Protocol):
    """Reads across uptime, ledger and epochs."""

    async def look(self, user_ids: Sequence[UUID]) -> Figures:
        """All of these people, whatever is written meanwhile. As many queries as for one."""
        ...

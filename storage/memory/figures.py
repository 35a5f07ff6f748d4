"""What every screen is made of."""

from collections.abc import Sequence
from uuid import UUID

from storage.base.figures import Figure, Figures
from storage.memory.database import MemoryDatabase
from storage.memory.epochs import MemoryEpochs
from storage.memory.ledger import MemoryLedger
from storage.memory.uptime import MemoryUptime


class MemoryFigures:
    """`FigureStore` in memory: nothing else happens while it looks."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database
        self._uptime = MemoryUptime(database)
        self._ledger = MemoryLedger(database)
        self._epochs = MemoryEpochs(database)

    async def look(self, user_ids: Sequence[UUID]) -> Figures:
        epochs = await self._epochs.unclosed()
        totals = await self._uptime.totals(user_ids)
        balances = await self._ledger.balances(user_ids)
        weights = await self._epochs.accruing(user_ids, epochs)
        return Figures(
            revision=self._db.revision + self._db.changes + (epochs[0].number if epochs else 0),
            epochs=epochs,
            people={
                user_id: Figure(totals=totals[user_id], balances=balances[user_id], weights=weights[user_id])
                for user_id in user_ids
            },
        )

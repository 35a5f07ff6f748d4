"""What every screen is made of."""

from collections.abc import Sequence
from uuid import UUID

from storage.base.figures import Figure, Figures
from storage.postgres.epochs import PostgresEpochs
from storage.postgres.ledger import PostgresLedger
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.postgres.uptime import PostgresUptime

_SQL = load("figures")


class PostgresFigures:
    """`FigureStore` on PostgreSQL: one snapshot for all of it. Who writes does not wait for it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def look(self, user_ids: Sequence[UUID]) -> Figures:
        async with self._pool.snapshot() as pool:
            row = await pool.fetchrow(_SQL["revision"])
            epochs_store = PostgresEpochs(pool)
            epochs = await epochs_store.unclosed()
            totals = await PostgresUptime(pool).totals(user_ids)
            balances = await PostgresLedger(pool).balances(user_ids)
            weights = await epochs_store.accruing(user_ids, epochs)
        return Figures(
            revision=row["revision"] + (epochs[0].number if epochs else 0),
            epochs=epochs,
            people={
                user_id: Figure(totals=totals[user_id], balances=balances[user_id], weights=weights[user_id])
                for user_id in user_ids
            },
        )

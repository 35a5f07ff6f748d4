"""Measured uptime."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from core.clock import from_ms, to_ms
from storage.base import Batch, NetworkTotals, NodeTotals, UserTotals
from storage.memory.database import MemoryDatabase
from storage.uptime import COUNT_LIMIT, Fold, HourSums


class MemoryUptime:
    """`UptimeStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def cursor(self) -> str:
        return self._db.cursor

    async def apply(self, batches: Sequence[Batch], cursor: str) -> set[UUID]:
        fold = Fold(self._db.states)
        for batch in batches:
            if batch.sequence > self._db.writers.get(batch.worker, 0):
                self._db.writers[batch.worker] = batch.sequence
                fold.add(batch)
        for key, added in fold.hours.items():
            sums = self._db.hours.setdefault(key, HourSums())
            sums.confirmed_ms += added.confirmed_ms
            sums.bytes_up = min(sums.bytes_up + added.bytes_up, COUNT_LIMIT)
            sums.bytes_down = min(sums.bytes_down + added.bytes_down, COUNT_LIMIT)
            sums.errors = min(sums.errors + added.errors, COUNT_LIMIT)
        self._db.cursor = cursor
        self._db.revision += 1
        return fold.owners()

    async def close_workers(self, alive: Sequence[str], at: datetime) -> set[UUID]:
        owners = set()
        for state in self._db.states.values():
            if state.online and state.worker not in alive:
                state.online, state.since_ms, state.presumed = False, to_ms(at), True
                owners.add(state.user_id)
        if owners:
            self._db.revision += 1
        return owners

    async def totals(self, user_ids: Sequence[UUID]) -> dict[UUID, UserTotals]:
        totals = {user_id: UserTotals(revision=self._db.revision, nodes=[]) for user_id in user_ids}
        for node_id in sorted(self._db.nodes):
            node, state = self._db.nodes[node_id], self._db.states[node_id]
            if node.user_id in totals:
                totals[node.user_id].nodes.append(
                    NodeTotals(
                        node_id=node_id,
                        name=node.name,
                        online=state.online,
                        since=None if state.since_ms is None else from_ms(state.since_ms),
                        confirmed_ms=state.confirmed_ms,
                    )
                )
        return totals

    async def hours(self, user_id: UUID, node_id: UUID) -> list[tuple[datetime, int]]:
        state = self._db.states.get(node_id) or self._db.former.get(node_id)
        if state is None or state.user_id != user_id:
            return []
        return [
            (from_ms(hour), sums.confirmed_ms)
            for (owner, hour), sums in sorted(self._db.hours.items(), key=lambda item: item[0][1])
            if owner == node_id and sums.confirmed_ms
        ]

    async def network(self) -> NetworkTotals:
        states = [*self._db.states.values(), *self._db.former.values()]
        return NetworkTotals(
            revision=self._db.revision,
            nodes_online=sum(state.online for state in states),
            nodes_total=len(self._db.nodes),
            users_total=len(self._db.users),
            confirmed_seconds=sum(state.confirmed_ms // 1000 for state in states),
        )

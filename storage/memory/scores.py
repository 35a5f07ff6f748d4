"""The scores of the nodes."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from core.clock import to_ms
from storage.base import NodeScore, ScoreFormula
from storage.memory.database import MemoryDatabase
from storage.scores import FIRST_FORMULA, add_hours, compute, window_of
from storage.uptime import HourSums


class MemoryScores:
    """`ScoreStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def formulas(self) -> list[ScoreFormula]:
        return [FIRST_FORMULA]

    async def recompute(self, at: datetime, formula: ScoreFormula) -> int:
        window = window_of(at, formula.parameters)
        hours: dict[UUID, list[HourSums]] = defaultdict(list)
        for (node_id, hour), sums in self._db.hours.items():
            if window.first_hour <= hour <= window.last_hour:
                hours[node_id].append(sums)
        scores = {}
        for node_id, node in self._db.nodes.items():
            state = self._db.states[node_id]
            gates = sorted(self._db.gates.get(node_id, []), key=lambda gate: (gate.quarters, gate.rule))
            total = add_hours(hours[node_id])
            seconds = window.seconds(to_ms(node.created_at) // 1000)
            points = compute(formula.parameters, total, seconds, gates)
            scores[node.user_id, node_id] = NodeScore(
                formula=formula.version,
                computed_at=at,
                score=points.score,
                base=points.base,
                gate=points.gate,
                uptime=points.uptime,
                latency=points.latency,
                challenges=points.challenges,
                contribution=points.contribution,
                confirmed_seconds=total.confirmed,
                window_seconds=seconds,
                samples=points.samples,
                median_ms=points.median_ms,
                answered=total.answered,
                missed=total.missed,
                refused=total.refused,
                bytes=total.bytes,
                target_bytes=points.target_bytes,
                public=state.place.subnet != "",
                located=state.place.latitude is not None,
                gates=gates,
            )
        self._db.scores = scores
        self._db.changes += 1
        return len(scores)

    async def of_node(self, user_id: UUID, node_id: UUID) -> NodeScore | None:
        return self._db.scores.get((user_id, node_id))

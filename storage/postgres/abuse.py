"""Signs of abuse: rules and flags."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core.clock import new_id
from storage.base import STAFF, AbuseRule, Decision, Flag, FlagState, Judged, Unenforced
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.postgres.together import Together

_SQL = load("abuse")
_SIGNALS = load("signals")
# Seconds that one look of one rule may take.
_LOOK = 300.0
# In PostgreSQL's own units, for each step of it that sorts or gathers.
_WORK_MEMORY = "256MB"


class PostgresAbuse:
    """`AbuseStore` on PostgreSQL. A look takes a few statements, whatever the number of nodes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._suspension = Together(self._suspensions)

    async def rules(self) -> list[AbuseRule]:
        return [_rule(row) for row in await self._pool.fetch(_SQL["rules"])]

    async def versions(self, name: str, limit: int) -> list[AbuseRule]:
        return [_rule(row) for row in await self._pool.fetch(_SQL["versions"], name, limit)]

    async def save_rule(self, rule: AbuseRule) -> bool:
        row = await self._pool.fetchrow(
            _SQL["save_rule"],
            rule.name,
            rule.version,
            rule.enabled,
            rule.action,
            rule.gate,
            _json(rule.parameters),
            rule.clear_after,
            rule.lifts,
            rule.updated_at,
            rule.updated_by,
        )
        return row is not None

    async def judge(self, rule: AbuseRule, at: datetime, limit: int) -> Judged:
        async with self._pool.transaction(timeout=_LOOK) as connection:
            await connection.execute(_SQL["prepare"], _WORK_MEMORY)
            found = f"CREATE TEMP TABLE wanted ON COMMIT DROP AS {look_of(rule)}"
            await connection.execute(found, at, _json(rule.parameters), rule.name)
            await connection.execute(_SQL["index_wanted"])
            await connection.execute(_SQL["analyze_wanted"])
            await connection.execute(_SQL["no_loops"])
            row = await connection.fetchrow(
                _SQL["judge"],
                at,
                rule.name,
                rule.version,
                rule.action,
                rule.gate if rule.action == "gate" else None,
                rule.clear_after if rule.enabled else 0,
                rule.lifts,
                limit,
            )
        return Judged(**row)

    async def flags(
        self,
        *,
        state: FlagState | None = None,
        rule: str | None = None,
        user_id: UUID | None = None,
        node_id: UUID | None = None,
        before: UUID | None = None,
        limit: int,
    ) -> list[Flag]:
        wanted = {"rule =": rule, "user_id =": user_id, "node_id =": node_id, "flag_id <": before}
        conditions = {what: value for what, value in wanted.items() if value is not None}
        parts = [f"{what} ${number}" for number, what in enumerate(conditions, 2)]
        if state is not None:
            # Not a parameter: the index of the active ones serves no other plan.
            parts.append(f"state = '{state}'")
        where = f"WHERE {' AND '.join(parts)} " if parts else ""
        statement = f"{_SQL['flags']} {where}ORDER BY flag_id DESC LIMIT $1"
        return [_flag(row) for row in await self._pool.fetch(statement, limit, *conditions.values())]

    async def decisions(self, flag_id: UUID) -> list[Decision]:
        rows = await self._pool.fetch(_SQL["decisions"], flag_id)
        return [Decision(**{**row, "evidence": msgspec.json.decode(row["evidence"])}) for row in rows]

    async def dismiss(
        self, flag_id: UUID, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> Flag | None:
        ended = await self._end(
            "dismiss", flag_id, at=at, actor_id=actor_id, note=note, quiet_until=quiet_until
        )
        return ended[0] if ended else None

    async def suspend(self, node_id: UUID, at: datetime, actor_id: UUID, note: str) -> Flag | None:
        async with self._pool.transaction() as connection:
            flag_id = await connection.fetchval(_SQL["suspend"], new_id(), node_id, STAFF, at, actor_id, note)
            if flag_id is not None:
                await connection.execute(_SQL["decide"], [flag_id], at, "raised", actor_id, note)
        found = await self.flags(state="active", rule=STAFF, node_id=node_id, limit=1)
        return found[0] if found else None

    async def unsuspend(
        self, node_id: UUID, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> list[Flag]:
        return await self._end(
            "unsuspend", node_id, at=at, actor_id=actor_id, note=note, quiet_until=quiet_until
        )

    async def suspension(self, node_id: UUID) -> Flag | None:
        return await self._suspension.get(node_id)

    async def unenforced(self, limit: int) -> list[Unenforced]:
        return [Unenforced(**row) for row in await self._pool.fetch(_SQL["unenforced"], limit)]

    async def prune(self, ended_before: datetime, moved_before: datetime) -> int:
        async with self._pool.connection() as connection:
            moved_ms = int(moved_before.timestamp() * 1000)
            return int(await connection.fetchval(_SQL["prune"], ended_before, moved_ms))

    async def _end(
        self, statement: str, key: UUID, *, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> list[Flag]:
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(_SQL[statement], key, at, actor_id, note, quiet_until)
            if rows:
                flag_ids = [row["flag_id"] for row in rows]
                await connection.execute(_SQL["decide"], flag_ids, at, "dismissed", actor_id, note)
        return sorted((_flag(row) for row in rows), key=lambda flag: flag.flag_id)

    async def _suspensions(self, node_ids: Sequence[UUID]) -> Mapping[UUID, Flag]:
        rows = await self._pool.fetch(_SQL["suspensions"], node_ids)
        return {row["node_id"]: _flag(row) for row in rows}


def look_of(rule: AbuseRule) -> str:
    """The statement that tells for what nodes are to be flagged by a rule."""
    look = _SIGNALS[rule.name] if rule.enabled else _SQL["nothing"]
    return f"WITH finding AS MATERIALIZED ({look}) {_SQL['wanted']}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _rule(row: Any) -> AbuseRule:
    return AbuseRule(**{**row, "parameters": msgspec.json.decode(row["parameters"])})


def _flag(row: Any) -> Flag:
    return Flag(**{**row, "evidence": msgspec.json.decode(row["evidence"])})

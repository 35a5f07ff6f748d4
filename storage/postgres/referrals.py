"""Referrals: codes, who brought whom, and what speaks against it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from core.clock import new_id
from storage.base import (
    HOUSE,
    Burst,
    Commission,
    Level,
    LevelCount,
    Referee,
    Referral,
    ReferralCode,
    ReferralDecision,
    ReferralFlag,
    ReferralState,
    ReferralTerms,
    Trait,
)
from storage.postgres.errors import undeadlocked
from storage.postgres.ledger import book_entries
from storage.postgres.people import lock_user
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.referrals import Fund, Paid, settle

_SQL = load("referrals")
# Seconds that a decision may take: it waits for an epoch that is being closed.
DECIDING = 120


class PostgresReferrals:
    """`ReferralStore` on PostgreSQL. Traits that speak against a referral flag it by a trigger."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_code(self, code: ReferralCode, most: int) -> Literal["added", "taken", "most"]:
        async with self._pool.transaction() as connection:
            await lock_user(connection, code.user_id)
            if await connection.fetchval(_SQL["codes_of_sort"], code.user_id, code.alias) >= most:
                return "most"
            added = await connection.fetchval(
                _SQL["add_code"], code.code, code.user_id, code.shown, code.alias, code.created_at
            )
            return "added" if added is not None else "taken"

    async def code(self, code: str) -> ReferralCode | None:
        row = await self._pool.fetchrow(_SQL["code"], code)
        return row and ReferralCode(**row)

    async def codes(self, user_id: UUID) -> list[ReferralCode]:
        return [ReferralCode(**row) for row in await self._pool.fetch(_SQL["codes"], user_id)]

    async def count(self, code: str, what: Literal["clicks", "signups"]) -> None:
        await self._pool.fetchrow(_SQL[f"count_{what}"], code)

    async def saw(self, user_id: UUID, traits: Sequence[Trait], at: datetime) -> None:
        async with self._pool.connection() as connection:
            await see(connection, user_id, traits, at)

    async def referral(self, user_id: UUID) -> Referral | None:
        row = await self._pool.fetchrow(_SQL["referral"], user_id)
        return row and Referral(**row)

    async def by_id(self, referral_id: UUID) -> Referral | None:
        row = await self._pool.fetchrow(_SQL["by_id"], referral_id)
        return row and Referral(**row)

    async def referees(self, user_id: UUID, level: Level, before: UUID | None, limit: int) -> list[Referee]:
        rows = await self._pool.fetch(_SQL[f"referees_{level}"], user_id, before, limit)
        return [Referee(level=level, **{**row, **_amounts(row)}) for row in rows]

    async def rewarded(
        self, user_id: UUID, level: Level | None, before: UUID | None, limit: int
    ) -> list[Referee]:
        rows = await self._pool.fetch(_SQL["rewarded"], user_id, level, before, limit)
        return [Referee(**{**row, **_amounts(row)}) for row in rows]

    async def counts(self, user_id: UUID) -> list[LevelCount]:
        rows = await self._pool.fetch(_SQL["counts"], user_id)
        return [LevelCount(**{**row, **_amounts(row)}) for row in rows]

    async def activate(self, at: datetime, seconds: int) -> int:
        async with self._pool.connection() as connection:
            return _rows(await connection.execute(_SQL["activate"], at, seconds))

    async def reviews(self, state: ReferralState, before: UUID | None, limit: int) -> list[Referral]:
        return [Referral(**row) for row in await self._pool.fetch(_SQL["reviews"], state, before, limit)]

    async def flags(self, user_ids: Sequence[UUID]) -> list[ReferralFlag]:
        return [ReferralFlag(**row) for row in await self._pool.fetch(_SQL["flags"], list(user_ids))]

    async def decide(
        self,
        user_id: UUID,
        decision: ReferralDecision,
        at: datetime,
        actor_id: UUID,
        note: str,
        *,
        subtree: bool,
    ) -> list[UUID]:
        async def decided() -> list[UUID]:
            async with self._pool.transaction(DECIDING) as connection:
                await connection.execute(_SQL["lock_closes"])
                whose = [user_id]
                if subtree:
                    whose = [row["user_id"] for row in await connection.fetch(_SQL["below"], user_id)]
                rows = await connection.fetch(_SQL["decide"], whose, decision, at, actor_id, note)
                whose = sorted(row["user_id"] for row in rows)
                await _settle(connection, whose, decision)
            return whose

        return await undeadlocked(decided)

    async def commissions(
        self, earned: Mapping[UUID, int], pool: int, terms: ReferralTerms
    ) -> list[Commission]:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["earned"], list(earned), list(earned.values()))
            rows = await connection.fetch(_SQL["commissions"], pool, *terms_as_arguments(terms))
        return [
            Commission(
                user_id=row["user_id"],
                referee_id=row["referee_id"],
                level=row["level"],
                amount=int(row["amount"]),
                held=row["held"],
            )
            for row in rows
        ]

    async def prune(self, seen_before: datetime) -> int:
        async with self._pool.connection() as connection:
            return int(await connection.fetchval(_SQL["prune"], seen_before))


async def see(connection: Any, user_id: UUID, traits: Sequence[Trait], at: datetime) -> None:
    """Remember traits of somebody in the connection's transaction."""
    kinds, values = [trait.kind for trait in traits], [trait.value for trait in traits]
    await connection.execute(_SQL["see"], user_id, kinds, values, at)


async def join(  # noqa: PLR0917  # what its caller has at hand
    connection: Any, user_id: UUID, code: str | None, traits: Sequence[Trait], at: datetime, burst: Burst
) -> None:
    """Give an account that was made in this transaction its parent and its traits, and look at them."""
    if code is not None:
        await connection.execute(_SQL["lock_parent"], code)
        await connection.execute(_SQL["join"], user_id, new_id(), code, at)
    await see(connection, user_id, traits, at)
    if code is not None:
        await connection.execute(_SQL["judge_joining"], user_id, burst.people, burst.seconds, at)


async def _settle(connection: Any, whose: Sequence[UUID], decision: ReferralDecision) -> None:
    """Book what a decision about these referrals moves."""
    paid = [
        Paid(
            user_id=row["user_id"],
            referee_id=row["referee_id"],
            amount=int(row["amount"]),
            held=int(row["held"]),
            taken=int(row["taken"]),
            lost=int(row["lost"]),
        )
        for row in await connection.fetch(_SQL["paid_for"], whose)
    ]
    if not paid:
        return
    # There was a close, hence there is an open epoch.
    epoch = await connection.fetchrow(_SQL["open_epoch"])
    funds: dict[UUID, list[Fund]] = {}
    if decision == "refused":
        funds = await _funds(connection, sorted({each.user_id for each in paid}), epoch["starts_at"])
    entry, after = settle(f"referral:{new_id()}", decision, epoch["number"], epoch["starts_at"], paid, funds)
    if entry is not None:
        await book_entries(connection, [entry])
    await connection.execute(
        _SQL["settle"],
        [each.user_id for each in after],
        [each.referee_id for each in after],
        [each.held for each in after],
        [each.taken for each in after],
        [each.lost for each in after],
    )


async def _funds(connection: Any, user_ids: Sequence[UUID], after: datetime) -> dict[UUID, list[Fund]]:
    """What these people have of commissions: what is final first, what is pending as it matures, last.

    Nobody claims it until the transaction is over.
    """
    funds: dict[UUID, list[Fund]] = {}
    rows = await connection.fetch(_SQL["lock_funds"], [HOUSE, *user_ids])
    for row in sorted(rows, key=lambda row: row["account"], reverse=True):
        if row["account"] in ("final", "claimable") and row["amount"] > 0:
            fund = Fund(account=row["account"], matures_at=None, amount=int(row["amount"]))
            funds.setdefault(row["user_id"], []).append(fund)
    for row in await connection.fetch(_SQL["pending_funds"], user_ids, after):
        fund = Fund(account="pending", matures_at=row["matures_at"], amount=int(row["amount"]))
        funds.setdefault(row["user_id"], []).append(fund)
    return funds


def _amounts(row: Any) -> dict[str, int]:
    return {name: int(row[name]) for name in ("earned", "pending", "held", "reversed")}


def terms_as_arguments(terms: ReferralTerms) -> tuple[list[int], list[int], list[int]]:
    """What the statement `commissions` takes behind the pool."""
    return (
        list(terms.shares),
        [tier.active for tier in terms.tiers],
        [tier.multiplier for tier in terms.tiers],
    )


def _rows(status: str) -> int:
    return int(status.rpartition(" ")[2])

"""What PostgreSQL itself promises for referrals: no cycle, no other parent, and plans that scale."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from support.stores import Stores, postgres_stores

from core.clock import new_id
from core.errors import NotFound
from storage.base import ReferralTerms, Trait
from storage.postgres import Pool
from storage.postgres.queries import load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADD = "INSERT INTO referral (user_id, referral_id, parent_id, code, joined_at) VALUES ($1, $2, $3, 'X', $4)"


@pytest.fixture
def stores(pool: Pool) -> Stores:
    return postgres_stores(pool)


async def add(pool: Pool, child: UUID, parent: UUID) -> None:
    async with pool.transaction() as connection:
        await connection.execute(ADD, child, new_id(), parent, NOW)


async def refused(pool: Pool, child: UUID, parent: UUID) -> bool:
    try:
        await add(pool, child, parent)
    except Exception as error:
        causes = (error, error.__cause__)
        assert any(
            isinstance(cause, (asyncpg.CheckViolationError, asyncpg.DeadlockDetectedError))
            for cause in causes
        ), causes
        return True
    return False


async def test_whoever_brought_somebody_gets_no_parent(pool: Pool, stores: Stores) -> None:
    people = [await stores.add_user() for _ in range(4)]
    for child, parent in ((1, 0), (2, 1), (3, 2)):
        await add(pool, people[child], people[parent])
    for parent in people:
        assert await refused(pool, people[0], parent)


async def test_halves_of_cycles_at_the_same_moment_never_close_them(pool: Pool, stores: Stores) -> None:
    for size in (2, 2, 2, 3, 3, 4):
        ring = [await stores.add_user() for _ in range(size)]
        outcomes = await asyncio.gather(
            *(refused(pool, child, ring[place - 1]) for place, child in enumerate(ring))
        )
        assert any(outcomes)
        for user_id in ring:
            seen, at = {user_id}, await stores.referrals.referral(user_id)
            while at is not None:
                assert at.parent_id not in seen
                seen.add(at.parent_id)
                at = await stores.referrals.referral(at.parent_id)


@pytest.mark.parametrize(
    "change",
    ["parent_id = second_id", "second_id = NULL", "code = 'Y'", "joined_at = now()", "user_id = parent_id"],
)
async def test_parents_never_change(pool: Pool, stores: Stores, change: str) -> None:
    child, parent = [await stores.add_user() for _ in range(2)]
    await add(pool, child, parent)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.fetch(f"UPDATE referral SET {change}")


async def test_an_erased_person_is_nobodys_parent(pool: Pool, stores: Stores) -> None:
    child, parent = [await stores.add_user() for _ in range(2)]
    assert await stores.users.erase(parent, NOW)
    with pytest.raises(NotFound):
        await add(pool, child, parent)


# Everybody below the first 100 was brought by somebody before them.
FOREST = """
INSERT INTO account (user_id, email, display_name, password_hash, role, created_at)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n || '@example.org', 'Ada', 'hash',
       'user', '2026-01-01Z'
FROM generate_series(1, $1::int) n
"""
BRING = """
INSERT INTO referral (user_id, referral_id, parent_id, code, joined_at, active_at)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('00000000-0000-7000-8000-' || lpad(to_hex(1 + (n * 7919) % (n / 2)), 12, '0'))::uuid, 'X',
       '2026-01-02Z', '2026-01-03Z'
FROM generate_series(100, $1::int) n ORDER BY n
"""


async def test_a_whole_networks_commissions_are_one_statement(pool: Pool, stores: Stores) -> None:
    people = 5000
    async with pool.transaction(timeout=120) as connection:
        await connection.execute(FOREST, people)
        await connection.execute(BRING, people)
    await pool.fetch("ANALYZE")
    everybody = [row["user_id"] for row in await pool.fetch("SELECT user_id FROM referral")]
    before = datetime.now(UTC)
    earned = dict.fromkeys(everybody, 1_000_000)
    paid = await stores.referrals.commissions(earned, 10**15, ReferralTerms())
    assert datetime.now(UTC) - before < timedelta(seconds=10)
    assert sum(each.amount for each in paid if each.level == 1) == 200_000 * len(everybody)


async def test_what_is_looked_up_for_one_person_uses_an_index(pool: Pool, stores: Stores) -> None:
    people = 2000
    async with pool.transaction(timeout=120) as connection:
        await connection.execute(FOREST, people)
        await connection.execute(BRING, people)
    await pool.fetch("ANALYZE")
    statements = load("referrals")
    somebody = (await pool.fetch("SELECT user_id FROM referral LIMIT 1"))[0]["user_id"]
    for name, arguments in (
        ("referral", (somebody,)),
        ("referees_1", (somebody, None, 50)),
        ("referees_2", (somebody, None, 50)),
        ("referees_3", (somebody, None, 50)),
        ("rewarded", (somebody, None, None, 50)),
        ("counts", (somebody,)),
    ):
        rows = await pool.fetch(f"EXPLAIN {statements[name]}", *arguments)
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on referral r" not in plan, plan


async def test_people_who_share_a_trait_by_the_thousand_cost_nobody_much(pool: Pool, stores: Stores) -> None:
    """An office's address, or a device name that somebody made up, on everybody."""
    async with pool.transaction(timeout=120) as connection:
        await connection.execute(FOREST, 3000)
        await connection.execute(
            "INSERT INTO person_trait (user_id, kind, value, seen_at) "
            "SELECT user_id, 'address', 'x', now() FROM account"
        )
    user_id = await stores.add_user()
    before = datetime.now(UTC)
    await stores.referrals.saw(user_id, [Trait("address", "x"), Trait("device", "x")], NOW)
    assert datetime.now(UTC) - before < timedelta(seconds=2)

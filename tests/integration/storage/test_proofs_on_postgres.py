"""Every invariant of earnings: broken behind everybody's back, it is found, and nothing else is."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace
from support.proofs import books_of, prove
from support.servers import Databases
from support.stores import Stores, make_user, postgres_stores
from support.worlds import HOUR, START, TERMS, World

from core.clock import new_id
from services.proof import Proof
from storage.base import Campaign, Entry, FirstHours, HoldBack, Posting, ReferralTerms, Streak
from storage.postgres import connect
from storage.postgres.queries import load
from storage.proofs import INVARIANTS

PEOPLE = [UUID(int=number) for number in (0xA, 0xB, 0xC, 0xD)]
ADA, BEN, CLEO, DAN = PEOPLE
HOURS = 5
GENEROUS = replace(
    TERMS,
    bonus_pool=100_000,
    referral_pool=50_000,
    holdback=[HoldBack(days=30, share=2500)],
    streak=Streak(days=1, least_seconds=300, amount=7000),
    first_hours=FirstHours(hours=1, share=1000),
    referrals=ReferralTerms(active_seconds=60),
)


async def live(stores: Stores, dsn: str) -> None:
    """Four people, each brought by the one before, with nodes that work for some hours.

    An epoch is corrected, a bonus is paid for everything there are bonuses for, and somebody claims.
    """
    world = World(stores)
    for user_id in PEOPLE:
        assert await stores.users.add(make_user(user_id=user_id, created_at=START - 9 * HOUR))
    connection = await asyncpg.connect(dsn)
    for parent_id, user_id in pairwise(PEOPLE):
        await connection.execute(REFERRAL, user_id, parent_id, START - 8 * HOUR)
    await connection.close(timeout=5)
    nodes = [
        await world.add_node(user_id, timedelta(days=days), country)
        for user_id, days, country in zip(
            [*PEOPLE, DAN], (400, 400, 10, 400, 20), ("DE", "FR", None, "FR", "DE"), strict=True
        )
    ]
    for country, share, budget in ((None, 500, 20_000), ("DE", 1000, 10**6)):
        campaign = Campaign(
            campaign_id=new_id(),
            name="spring",
            starts_at=START,
            ends_at=START + 2 * HOUR,
            country=country,
            share=share,
            budget=budget,
            created_at=START,
            updated_at=START,
            updated_by=ADA,
        )
        assert await stores.campaigns.add(campaign, 5)
    await world.begin(GENEROUS)
    for hour in range(HOURS):
        for place, node_id in enumerate(nodes):
            if (hour, place) != (0, 4):
                await world.report(node_id, hour, 0, 600 + 97 * place + hour, up=1000 + 7 * place)
        if hour == 2:
            # Late, for the first.
            await world.report(nodes[4], 0, 0, 500, up=900)
        await stores.referrals.activate(START + hour * HOUR, 60)
        await world.close()
    amounts = await stores.ledger.amounts(DAN, "claimable")
    postings = [
        Posting(user_id=DAN, account=account, category=category, amount=sign * amount)
        for category, amount in amounts.items()
        for account, sign in (("claimable", -1), ("claimed", 1))
    ]
    epoch = await stores.epochs.open()
    assert epoch is not None
    assert postings
    claim = Entry(key="claim:1", kind="claim", epoch=epoch.number, at=epoch.starts_at, postings=postings)
    assert await stores.ledger.book([claim]) == 1


REFERRAL = (
    "INSERT INTO referral (user_id, referral_id, parent_id, code, joined_at)"
    " VALUES ($1, gen_random_uuid(), $2, 'CODE', $3)"
)


@pytest.fixture(scope="module")
async def template(databases: Databases) -> AsyncIterator[str]:
    """A database in which all of that happened, to be copied."""
    dsn = await databases.create()
    pool = await connect(dsn)
    await live(postgres_stores(pool), dsn)
    await pool.close()
    yield urlsplit(dsn).path[1:]
    await databases.drop(dsn)


@pytest.fixture
async def dsn(databases: Databases, template: str) -> AsyncIterator[str]:
    dsn = await databases.create(template)
    yield dsn
    await databases.drop(dsn)


@pytest.fixture
async def stores(dsn: str) -> AsyncIterator[Stores]:
    pool = await connect(dsn)
    yield postgres_stores(pool)
    await pool.close()


@pytest.fixture
async def intruder(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who may change the schema, and took all of its guards away."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        GRANT ALL ON ALL TABLES IN SCHEMA public TO CURRENT_USER;
        DO $$
        DECLARE
            guarded regclass;
            guard   record;
        BEGIN
            FOR guarded IN SELECT oid FROM pg_class
                           WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                             AND relname ~ '^(ledger|epoch|referral|earning|campaign|account)' LOOP
                EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', guarded);
                FOR guard IN SELECT conname FROM pg_constraint
                             WHERE conrelid = guarded AND contype IN ('c', 'f') AND coninhcount = 0 LOOP
                    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', guarded, guard.conname);
                END LOOP;
            END LOOP;
        END
        $$;
        """
    )
    yield connection
    await connection.close(timeout=5)


def always(number: int) -> Any:
    """Chance, gone."""
    return lambda least, most: min(max(number, least), most)


async def test_nothing_is_found_where_nothing_is_wrong(stores: Stores) -> None:
    verdict = await Proof(books_of(stores, START), always(2)).run()

    assert verdict.findings == []
    assert (verdict.people, verdict.epochs) == (4, [HOURS, 2])


async def test_all_that_can_be_booked_was_booked(intruder: asyncpg.Connection) -> None:
    kinds = await intruder.fetch("SELECT DISTINCT kind FROM ledger_entry ORDER BY kind")
    assert [row["kind"] for row in kinds] == [
        *("bonus", "claim", "correction", "payable", "referral", "release", "reward")
    ]
    pools = await intruder.fetch(
        "SELECT DISTINCT category FROM epoch_pool WHERE rewarded > 0 ORDER BY category"
    )
    assert [row["category"] for row in pools] == [
        *("availability", "campaign", "first_hours", "referral", "streak", "usage")
    ]


# What an intruder does, all that is found of it, and what is told of the first row.
BREAKS: dict[str, tuple[str, list[str], str]] = {
    "an epoch is missing": (
        "UPDATE epoch SET number = 7, starts_at = starts_at + interval '1 second' WHERE closed_at IS NULL",
        ["epoch_gap"],
        "epoch 7 begins at 2026-03-04 10:00:01+00:00, epoch 5 before it ends at 2026-03-04 10:00:00+00:00",
    ),
    "an epoch is final too early": (
        "UPDATE epoch SET final = true WHERE number = 5",
        ["epoch_state"],
        "epoch 5 (closed ",
    ),
    "an epoch was closed by other terms": (
        "INSERT INTO earning_terms SELECT 2, parameters, created_at + interval '2 years' FROM earning_terms;"
        "UPDATE epoch SET terms = 2 WHERE number = 1",
        ["epoch_terms"],
        "epoch 1 was closed by terms 2",
    ),
    "a pool is larger than its terms": (
        "UPDATE earning_terms SET parameters = jsonb_set(parameters, '{usage_pool}', '400000')",
        ["pool_size", "computed"],
        "epoch 1 has a pool of 500000 for usage, its terms give 400000",
    ),
    "bonuses are more than their pool": (
        "UPDATE earning_terms SET parameters = jsonb_set(parameters, '{bonus_pool}', '20000')",
        ["pool_cap", "computed"],
        "from its bonus pool of 20000",
    ),
    "commissions are more than their pool": (
        "UPDATE earning_terms SET parameters = jsonb_set(parameters, '{referral_pool}', '49')",
        ["pool_cap"],
        "from its referral pool of 49",
    ),
    "an epoch says something else than the ledger": (
        "UPDATE epoch_pool SET pool = pool - 1, rewarded = rewarded - 1 WHERE category = 'referral'",
        ["pool_booked"],
        "epoch 1 says ",
    ),
    "a node was measured with something else": (
        "UPDATE epoch_node SET seconds = seconds + 1 WHERE epoch = 3",
        ["pool_nodes"],
        "epoch 3 paid ",
    ),
    "a node got something else": (
        "UPDATE epoch_node n SET availability = availability + d FROM (VALUES (1, 1), (2, -1)) v (place, d)"
        " JOIN (SELECT number, rank() OVER (ORDER BY number) AS place FROM epoch_node WHERE epoch = 2) r"
        " USING (place) WHERE n.epoch = 2 AND n.number = r.number",
        ["computed"],
        "epoch 2: availability of node ",
    ),
    "a node has something else on a day": (
        "UPDATE epochs_kept SET from_epoch = 6;"
        "CREATE TABLE earned_day_all PARTITION OF earned_day DEFAULT;"
        "INSERT INTO earned_day SELECT 1, 1, number, 20516 FROM epoch_node WHERE epoch = 1",
        ["pool_days"],
        "on day 20516 epochs paid ",
    ),
    "a campaign paid more than it says": (
        "UPDATE campaign SET spent = spent - 1 WHERE country = 'DE'",
        ["campaign_spent"],
        "campaign ",
    ),
    "a campaign paid something else than the pool": (
        "UPDATE campaign_epoch SET paid = paid - 1 WHERE epoch = 2 AND country = 'DE';"
        "UPDATE campaign SET spent = spent - 1 WHERE country = 'DE'",
        ["campaign_pool", "computed"],
        "epoch 2 paid ",
    ),
    "a bonus was made from something else": (
        "UPDATE epoch_person SET first_seconds = first_seconds + 60 WHERE epoch = 2",
        ["computed"],
        "epoch 2: bookings of ",
    ),
    "a correction corrects nothing": (
        "UPDATE ledger_entry SET reverses = (SELECT entry_id FROM ledger_entry WHERE key = 'epoch:1:bonus')"
        " WHERE key = 'correction:1:usage'",
        ["correction"],
        " corrects usage of epoch 1 by ",
    ),
    "a release takes from one and gives to another": (
        f"""
        UPDATE ledger_posting SET amount = amount + CASE user_id WHEN '{ADA}' THEN 1 ELSE -1 END
        WHERE user_id IN ('{ADA}', '{BEN}') AND account = 'final' AND category = 'usage'
          AND entry_id = (SELECT entry_id FROM ledger_entry WHERE key = 'epoch:3:release');
        UPDATE ledger_balance SET amount = amount + CASE user_id WHEN '{ADA}' THEN 1 ELSE -1 END
        WHERE user_id IN ('{ADA}', '{BEN}') AND account = 'final' AND category = 'usage'
        """,
        ["overdrawn", "moved"],
        f"account final of {BEN} comes to -1 for usage",
    ),
    "what is final stays pending": (
        "UPDATE ledger_posting SET matures_at = matures_at - interval '1 hour' WHERE account = 'pending'"
        " AND category = 'streak' AND amount < 0",
        ["matured"],
        "account pending of ",
    ),
    "more was claimed than was there by then": (
        f"""
        UPDATE ledger_posting SET amount = amount - sign(amount)
        WHERE user_id = '{DAN}' AND category = 'usage'
          AND entry_id = (SELECT entry_id FROM ledger_entry WHERE key = 'epoch:5:payable');
        UPDATE ledger_sum SET credits = credits - 1, debits = debits - 1 WHERE category = 'usage'
          AND entry_id = (SELECT entry_id FROM ledger_entry WHERE key = 'epoch:5:payable');
        INSERT INTO ledger_entry (key, kind, epoch, at)
        SELECT 'epoch:6:payable', 'payable', 6, at FROM ledger_entry WHERE kind = 'claim';
        INSERT INTO ledger_posting (user_id, at, entry_id, account, category, amount)
        SELECT '{DAN}', at, entry_id, account, 'usage', amount
        FROM ledger_entry, (VALUES ('final', -1), ('claimable', 1)) v (account, amount)
        WHERE key = 'epoch:6:payable';
        INSERT INTO ledger_sum
        SELECT entry_id, 'usage', at, 2, 1, 1 FROM ledger_entry WHERE key = 'epoch:6:payable'
        """,
        ["claim"],
        f" left account claimable of {DAN} at -1 for usage",
    ),
    "referrals go in a circle": (
        f"INSERT INTO referral (user_id, referral_id, parent_id, second_id, third_id, code, joined_at) VALUES"
        f" ('{ADA}', gen_random_uuid(), '{DAN}', '{CLEO}', '{BEN}', 'X', '2026-03-04Z');"
        f"UPDATE referral SET second_id = '{DAN}', third_id = '{CLEO}' WHERE user_id = '{BEN}';"
        f"UPDATE referral SET third_id = '{DAN}' WHERE user_id = '{CLEO}'",
        ["referral_cycle"],
        f"{ADA}, brought by {DAN}, is in a circle",
    ),
    "a parent is younger than the child": (
        f"UPDATE account SET created_at = '2026-03-05Z' WHERE user_id = '{CLEO}'",
        ["referral_age"],
        f"{DAN} joined at 2026-03-03 21:00:00+00:00, brought by {CLEO}, who is from 2026-03-05",
    ),
    "a level is wrong": (
        f"UPDATE referral SET third_id = NULL WHERE user_id = '{DAN}'",
        ["referral_level", "commission_level"],
        f"{DAN} has {BEN} and None above the parent",
    ),
    "somebody was paid for a stranger": (
        f"UPDATE referral_sum SET level = 2 WHERE user_id = '{CLEO}'",
        ["commission_level"],
        f"{CLEO} was paid for {DAN} at level 2",
    ),
    "commissions are not those of the ledger": (
        f"UPDATE referral_sum SET amount = amount - 1 WHERE user_id = '{CLEO}'",
        ["commission_booked"],
        f"{CLEO} was paid ",
    ),
    "a share is larger than there ever was": (
        "UPDATE earning_terms"
        " SET parameters = jsonb_set(parameters, '{referrals,shares}', '[2000, 1000, 1]')",
        ["commission_share"],
        f"{ADA} was paid ",
    ),
    "the house lost something that nobody has": (
        "INSERT INTO ledger_balance VALUES ('00000000-0000-0000-0000-000000000000', 'lost', 'referral', -3)",
        ["balance", "commission_lost"],
        "account lost of 00000000-0000-0000-0000-000000000000 shows -3 for referral",
    ),
    "a balance is not the sum of its postings": (
        f"UPDATE ledger_balance SET amount = amount + 1 WHERE user_id = '{DAN}' AND account = 'claimed'"
        " AND category = 'usage'",
        ["balance", "figure"],
        f"account claimed of {DAN} shows ",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_what_was_broken_is_found_and_nothing_else(
    stores: Stores, intruder: asyncpg.Connection, name: str
) -> None:
    statement, wanted, detail = BREAKS[name]

    await intruder.execute(statement)

    found = await prove(stores, START, always(2))
    assert [finding.invariant for finding in found] == wanted
    assert detail in found[0].detail


def test_every_invariant_was_broken() -> None:
    assert {invariant for _, wanted, _ in BREAKS.values() for invariant in wanted} >= INVARIANTS.keys()


async def test_a_long_chain_of_referrals_is_walked_by_the_index(intruder: asyncpg.Connection) -> None:
    queries = load("proofs")
    await intruder.execute(
        """
        INSERT INTO referral (user_id, referral_id, parent_id, code, joined_at)
        SELECT md5(i::text)::uuid, gen_random_uuid(), md5((i - 1)::text)::uuid, 'CODE', now()
        FROM generate_series(1, 3000) i;
        ANALYZE referral;
        """
    )
    async with intruder.transaction():
        await intruder.execute(queries["plan"], "off")
        rows = await intruder.fetch(f"EXPLAIN {queries['check_referral_cycle']}")
        found = await intruder.fetch(queries["check_referral_cycle"])

    plan = "\n".join(row[0] for row in rows)
    assert "Index Cond: (parent_id = " in plan
    assert "Nested Loop Anti Join" not in plan
    assert found == []

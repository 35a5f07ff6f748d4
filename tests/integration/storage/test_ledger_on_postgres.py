"""The ledger on PostgreSQL: what the schema itself refuses, what a check finds, and plans."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from support.servers import Databases

from storage.base import HOUSE, Account, Balances, Category, Entry, Posting
from storage.ledger import INVARIANTS
from storage.postgres import Pool, PostgresLedger
from storage.postgres.queries import load

AT = datetime(2026, 12, 31, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)
ADA = UUID(int=0xADA)
POST = (
    "INSERT INTO ledger_posting (entry_id, at, user_id, account, category, amount) "
    "SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::numeric[])"
)
Line = tuple[int, datetime, UUID, str, str, int]


@pytest.fixture
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
def ledger(pool: Pool) -> PostgresLedger:
    return PostgresLedger(pool)


def grant(key: str, user_id: UUID, amount: int, at: datetime = AT, account: Account = "final") -> Entry:
    category: Category = "availability"
    postings = [
        Posting(user_id=HOUSE, account="issued", category=category, amount=-amount),
        Posting(user_id=user_id, account=account, category=category, amount=amount),
    ]
    return Entry(key=key, kind="reward", epoch=1, at=at, postings=postings)


async def add_entry(connection: asyncpg.Connection, key: str, at: datetime = AT) -> int:
    await connection.execute("SELECT make_posting_partition($1)", at)
    entry_id: int = await connection.fetchval(
        "INSERT INTO ledger_entry (key, kind, epoch, at) VALUES ($1, 'reward', 1, $2) RETURNING entry_id",
        key,
        at,
    )
    return entry_id


async def post(connection: asyncpg.Connection, *lines: Line) -> None:
    await connection.execute(POST, *(list(column) for column in zip(*lines, strict=True)))


async def everything(connection: asyncpg.Connection) -> list[list[Any]]:
    tables = ["ledger_entry", "ledger_posting", "ledger_sum", "ledger_balance"]
    return [await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]


# --- what the schema refuses ----------------------------------------------------------------------


async def test_statements_alone_keep_sums_and_balances(
    ledger: PostgresLedger, connection: asyncpg.Connection
) -> None:
    one, two = await add_entry(connection, "one"), await add_entry(connection, "two", AT + HOUR)

    await post(
        connection,
        (one, AT, HOUSE, "issued", "usage", -30),
        (two, AT + HOUR, ADA, "final", "usage", 5),
        (one, AT, ADA, "final", "usage", 20),
        (one, AT, HOUSE, "unallocated", "usage", 10),
        (two, AT + HOUR, HOUSE, "issued", "usage", -5),
    )

    assert (await ledger.balances([ADA]))[ADA] == Balances(final=25)
    assert await ledger.house() == {"issued": -35, "unallocated": 10, "corrections": 0}
    sums = await connection.fetch("SELECT entry_id, postings, credits, debits FROM ledger_sum ORDER BY 1")
    assert [tuple(row) for row in sums] == [(one, 3, 30, 30), (two, 2, 5, 5)]
    assert await ledger.check() == []


@pytest.mark.parametrize(
    ("lines", "constraint"),
    [
        ([(1, AT, HOUSE, "issued", "usage", -30), (1, AT, ADA, "final", "usage", 29)], "ledger_sum_balanced"),
        (
            [(1, AT, HOUSE, "issued", "usage", -30), (1, AT, ADA, "final", "streak", 30)],
            "ledger_sum_balanced",
        ),
        ([(1, AT, ADA, "final", "usage", 30)], "ledger_sum_balanced"),
        (
            [(9, AT, HOUSE, "issued", "usage", -30), (9, AT, ADA, "final", "usage", 30)],
            "ledger_sum_entry_id_at_fkey",
        ),
        (
            [(1, AT + HOUR, HOUSE, "issued", "usage", -30), (1, AT + HOUR, ADA, "final", "usage", 30)],
            "ledger_sum_entry_id_at_fkey",
        ),
        (
            [(1, AT, HOUSE, "issued", "usage", -30), (1, AT + HOUR, ADA, "final", "usage", 30)],
            "ledger_sum_pkey",
        ),
        (
            [(1, AT, HOUSE, "issued", "usage", -30), (1, AT, ADA, "unallocated", "usage", 30)],
            "ledger_balance_account",
        ),
        (
            [(1, AT, HOUSE, "final", "usage", -30), (1, AT, ADA, "final", "usage", 30)],
            "ledger_balance_account",
        ),
        (
            [(1, AT, ADA, "claimable", "usage", -30), (1, AT, ADA, "claimed", "usage", 30)],
            "ledger_balance_overdrawn",
        ),
        (
            [(1, AT, HOUSE, "issued", "gifts", -30), (1, AT, ADA, "final", "gifts", 30)],
            "ledger_sum_category_check",
        ),
    ],
)
async def test_postings_that_do_not_add_up_are_refused(
    connection: asyncpg.Connection, lines: list[Line], constraint: str
) -> None:
    entry_id = await add_entry(connection, "one")
    before = await everything(connection)
    lines = [(entry_id if line[0] == 1 else line[0], *line[1:]) for line in lines]

    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await post(connection, *lines)

    # Of two sums of one entry at two times, either is the first to be looked at.
    allowed = {constraint, "ledger_sum_balanced"} if constraint == "ledger_sum_pkey" else {constraint}
    assert refused.value.constraint_name in allowed
    assert await everything(connection) == before


async def test_an_entry_gets_its_postings_once(connection: asyncpg.Connection) -> None:
    entry_id = await add_entry(connection, "one")
    lines: list[Line] = [
        (entry_id, AT, HOUSE, "issued", "usage", -3),
        (entry_id, AT, ADA, "final", "usage", 3),
    ]
    await post(connection, *lines)

    with pytest.raises(asyncpg.UniqueViolationError):
        await post(
            connection, *((*line[:3], "held" if line[2] == ADA else line[3], *line[4:]) for line in lines)
        )


CHANGES = [
    "UPDATE {table} SET entry_id = entry_id",
    "UPDATE {table} SET amount = amount + 1",
    "DELETE FROM {table}",
    "TRUNCATE {table} CASCADE",
    "INSERT INTO {table} SELECT * FROM {table}",
]
TABLES = {
    "ledger_entry": [*CHANGES[2:4], "UPDATE ledger_entry SET key = 'another'"],
    "ledger_posting": CHANGES[:4],
    "ledger_posting_202612": CHANGES,
    "ledger_sum": CHANGES[:1] + CHANGES[2:],
    "ledger_balance": CHANGES[1:],
}


@pytest.mark.parametrize("privileged", [False, True], ids=["as the owner", "with all privileges"])
@pytest.mark.parametrize("table", TABLES)
async def test_what_is_booked_cannot_be_changed(
    ledger: PostgresLedger, connection: asyncpg.Connection, table: str, privileged: bool
) -> None:
    await ledger.book([grant("one", ADA, 30)])
    if privileged:
        await connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO CURRENT_USER")
    before = await everything(connection)

    for change in TABLES[table]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(change.format(table=table))

    assert await everything(connection) == before


async def test_a_booking_that_is_cut_off_leaves_nothing(
    ledger: PostgresLedger, connection: asyncpg.Connection, postgres_dsn: str
) -> None:
    other = await asyncpg.connect(postgres_dsn)
    transaction = other.transaction()
    await transaction.start()
    entry_id = await add_entry(other, "one")
    await post(other, (entry_id, AT, HOUSE, "issued", "usage", -3), (entry_id, AT, ADA, "final", "usage", 3))
    waiting = asyncio.create_task(ledger.book([grant("one", ADA, 30)]))

    await connection.execute("SELECT pg_terminate_backend($1)", other.get_server_pid())

    assert await waiting == 1
    assert (await ledger.balances([ADA]))[ADA] == Balances(final=30)
    assert await ledger.check() == []
    other.terminate()


async def test_a_month_is_there_when_many_need_it_first(
    ledger: PostgresLedger, connection: asyncpg.Connection
) -> None:
    months = [datetime(2027 + number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in range(0, 24, 3)]

    await asyncio.gather(
        *(
            ledger.book([grant(f"{month} {edge}", ADA, 1, month + edge * HOUR) for edge in (-1, 0)])
            for month in months
            for _ in range(4)
        )
    )

    assert (await ledger.balances([ADA]))[ADA] == Balances(final=16)
    made = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger_posting'::regclass"
    assert await connection.fetchval(made) == 24
    assert await ledger.check() == []


# --- what a check finds ---------------------------------------------------------------------------

# What somebody could do who may change the schema, and the row that a check shows for it.
DAMAGE: dict[str, tuple[str, dict[str, Any]]] = {
    "balanced": (
        "UPDATE ledger_posting SET amount = amount + 1 WHERE entry_id = 2 AND account = 'final'",
        {"entry_id": 2, "category": "availability", "amount": 1},
    ),
    "entered": (
        "UPDATE ledger_posting SET entry_id = 7 WHERE entry_id = 3",
        {"entry_id": 7, "at": AT + HOUR},
    ),
    "complete": (
        "DELETE FROM ledger_posting WHERE entry_id = 1",
        {
            "entry_id": 1,
            "category": "availability",
            "booked": 2,
            "postings": None,
            "booked_credits": 30,
            "credits": None,
        },
    ),
    "balance": (
        "UPDATE ledger_balance SET amount = amount + 9 WHERE account = 'final'",
        {"user_id": ADA, "account": "final", "category": "availability", "shown": 69, "amount": 60},
    ),
    "account": (
        "UPDATE ledger_balance SET account = 'unallocated' WHERE account = 'final'",
        {"user_id": ADA, "account": "unallocated"},
    ),
    "overdrawn": (
        "UPDATE ledger_balance SET account = 'claimable', amount = -1 WHERE account = 'final'",
        {"user_id": ADA, "account": "claimable", "category": "availability", "amount": -1},
    ),
    "reversal": (
        "UPDATE ledger_entry SET reverses = 99 WHERE entry_id = 2",
        {"entry_id": 2, "reverses": 99},
    ),
}


@pytest.mark.parametrize("invariant", INVARIANTS)
async def test_a_check_finds_what_was_changed_behind_its_back(
    ledger: PostgresLedger, connection: asyncpg.Connection, invariant: str
) -> None:
    for number in range(3):
        await ledger.book([grant(f"{number}", ADA, 30 - 10 * number, AT + (number // 2) * HOUR)])
    statement, row = DAMAGE[invariant]
    for table in ("ledger_entry", "ledger_posting", "ledger_sum", "ledger_balance"):
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO CURRENT_USER")
    await connection.execute("ALTER TABLE ledger_balance DROP CONSTRAINT ledger_balance_account")
    await connection.execute(
        "ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_reverses_fkey, "
        "DROP CONSTRAINT ledger_entry_check"
    )

    await connection.execute(statement)

    found = {finding.invariant: finding for finding in await ledger.check()}
    assert found[invariant].row == row
    assert found[invariant].detail.startswith(INVARIANTS[invariant].partition("{")[0])


# --- plans ----------------------------------------------------------------------------------------

QUERIES = load("ledger")


@pytest.fixture(scope="module")
async def small_copy(databases: Databases) -> AsyncIterator[asyncpg.Connection]:
    """Two months of 60 people, and a posting each of many others."""
    dsn = await databases.create()
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        SELECT make_posting_partition('2026-03-01Z'), make_posting_partition('2026-05-01Z');
        INSERT INTO ledger_entry (key, kind, epoch, at)
        SELECT 'epoch:' || i, 'reward', i, timestamptz '2026-03-05Z' + i * interval '1 hour'
        FROM generate_series(1, 1440) i;
        INSERT INTO ledger_posting (entry_id, at, user_id, account, category, amount)
        SELECT entry_id, at, md5(u::text)::uuid, 'final', 'availability', 1000 + u
        FROM ledger_entry, generate_series(1, 2000) u WHERE u <= 60 OR entry_id = 1
        UNION ALL
        SELECT entry_id, at, '00000000-0000-0000-0000-000000000000', 'issued', 'availability', -sum(1000 + u)
        FROM ledger_entry, generate_series(1, 2000) u WHERE u <= 60 OR entry_id = 1 GROUP BY entry_id, at;
        INSERT INTO ledger_entry (key, kind, epoch, at)
        SELECT 'claim:' || i, 'claim', 1, '2026-03-05Z' FROM generate_series(1, 30000) i;
        """
    )
    await connection.execute("VACUUM (ANALYZE)")
    yield connection
    await connection.close(timeout=5)
    await databases.drop(dsn)


NEWEST = 2**63 - 1


def rows_read(plan: dict[str, Any]) -> float:
    """The most rows that any step of a plan made or threw away."""
    loops = plan["Actual Loops"]
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * loops
    return max([own, *(rows_read(child) for child in plan.get("Plans", ()))])


@pytest.mark.parametrize("generic", [False, True], ids=["own plan", "generic plan"])
@pytest.mark.parametrize(
    ("query", "arguments", "most"),
    [
        ("balances", (), 1),
        ("history", (NEWEST, 20), 21),
        ("history", (800, 20), 21),
        ("earned", ("edges",), 1440),
    ],
)
async def test_a_person_s_figures_read_only_their_own_rows(
    small_copy: asyncpg.Connection, query: str, arguments: tuple[Any, ...], most: int, generic: bool
) -> None:
    one = await small_copy.fetchval("SELECT md5('7')::uuid")
    start = datetime(2026, 3, 1, tzinfo=UTC)
    edges = [start + timedelta(days=day) for day in range(92)]
    all_arguments: tuple[Any, ...] = (one, *arguments)
    if query == "balances":
        all_arguments = ([one],)
    if query == "earned":
        all_arguments = (one, edges, edges[0], edges[-1])

    async with small_copy.transaction():
        mode = "force_generic_plan" if generic else "force_custom_plan"
        await small_copy.execute(f"SET LOCAL plan_cache_mode = {mode}")
        text = await small_copy.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {QUERIES[query]}", *all_arguments)

    plan = json.loads(text)[0]["Plan"]
    assert 0 < rows_read(plan) <= most, json.dumps(plan, indent=1)


async def test_the_postings_of_an_entry_are_found_without_reading_all(small_copy: asyncpg.Connection) -> None:
    text = await small_copy.fetchval(
        "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM ledger_posting WHERE entry_id = $1 AND at = $2",
        700,
        datetime(2026, 3, 5, tzinfo=UTC) + 700 * HOUR,
    )

    # A range of its own index is 16 pages.
    assert 61 <= rows_read(json.loads(text)[0]["Plan"]) < 3500

"""Migrations: complete, in order, once, whatever comes in between."""

import asyncio
import hashlib
from pathlib import Path

import asyncpg
import pytest
from support.waiting import eventually

from core.errors import StartupError
from storage.postgres import check_schema, connect, migrate
from storage.postgres.migrations import MIGRATION_LOCK, Migration, read_migrations


def step(version: int, script: str) -> Migration:
    return Migration(version, f"{version:04}_step.sql", script, hashlib.sha256(script.encode()).hexdigest())


ONE = step(1, "CREATE TABLE one (a int); INSERT INTO one VALUES (1)")
TWO = step(2, "CREATE TABLE two (a int); INSERT INTO one VALUES (2)")


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def check(dsn: str) -> None:
    pool = await connect(dsn)
    try:
        await check_schema(pool)
    finally:
        await pool.close()


async def test_an_empty_database_gets_all_migrations_once(empty_postgres_dsn: str) -> None:
    names = [migration.name for migration in read_migrations()]
    assert await migrate(empty_postgres_dsn) == names
    assert await migrate(empty_postgres_dsn) == []
    await check(empty_postgres_dsn)


async def test_a_database_without_its_migrations_is_refused_with_the_remedy(empty_postgres_dsn: str) -> None:
    with pytest.raises(StartupError, match="run `pulseboard migrate`"):
        await check(empty_postgres_dsn)
    await migrate(empty_postgres_dsn, [])
    with pytest.raises(StartupError, match="run `pulseboard migrate`"):
        await check(empty_postgres_dsn)


async def test_what_is_new_is_added_to_what_is_there(empty_postgres_dsn: str) -> None:
    assert await migrate(empty_postgres_dsn, [ONE]) == ["0001_step.sql"]
    assert await migrate(empty_postgres_dsn, [ONE, TWO]) == ["0002_step.sql"]
    assert await value(empty_postgres_dsn, "SELECT count(*) FROM one") == 2


async def test_two_runs_at_the_same_time_apply_everything_once(empty_postgres_dsn: str) -> None:
    runs = await asyncio.gather(*(migrate(empty_postgres_dsn, [ONE, TWO]) for _ in range(4)))
    assert sorted(map(len, runs)) == [0, 0, 0, 2]
    assert await value(empty_postgres_dsn, "SELECT count(*) FROM one") == 2


async def test_a_failing_migration_is_named_and_undone_and_the_ones_before_it_stay(
    empty_postgres_dsn: str,
) -> None:
    broken = step(2, "CREATE TABLE two (a int); INSERT INTO nowhere VALUES (2)")
    with pytest.raises(StartupError, match=r"0002_step.sql failed and was undone: .*nowhere"):
        await migrate(empty_postgres_dsn, [ONE, broken])
    assert await value(empty_postgres_dsn, "SELECT to_regclass('two')") is None
    assert await migrate(empty_postgres_dsn, [ONE, TWO]) == ["0002_step.sql"]


async def test_a_run_that_is_cut_in_the_middle_can_be_repeated(empty_postgres_dsn: str) -> None:
    slow = step(2, TWO.script + "; SELECT pg_sleep(60)")
    running = asyncio.ensure_future(migrate(empty_postgres_dsn, [ONE, slow]))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    cut += " AND datname = current_database()"

    async def is_cut() -> bool:
        return await value(empty_postgres_dsn, cut) is True

    await eventually(is_cut)
    with pytest.raises(StartupError):
        await running
    assert await value(empty_postgres_dsn, "SELECT count(*) FROM one") == 1
    assert await migrate(empty_postgres_dsn, [ONE, TWO]) == ["0002_step.sql"]


async def test_a_changed_file_is_named(empty_postgres_dsn: str) -> None:
    await migrate(empty_postgres_dsn, [ONE])
    changed = step(1, ONE.script + "; SELECT 1")
    with pytest.raises(StartupError, match=r"0001_step.sql was changed after it had been applied"):
        await migrate(empty_postgres_dsn, [changed, TWO])
    with pytest.raises(StartupError, match="was changed"):
        await check(empty_postgres_dsn)
    assert await value(empty_postgres_dsn, "SELECT to_regclass('two')") is None


async def test_a_database_newer_than_the_code_is_refused(empty_postgres_dsn: str) -> None:
    await migrate(empty_postgres_dsn)
    future = step(9999, "SELECT 1")
    await migrate(empty_postgres_dsn, [*read_migrations(), future])
    with pytest.raises(StartupError, match=r"newer than the code: it has migration 9999_step.sql"):
        await migrate(empty_postgres_dsn)
    with pytest.raises(StartupError, match="newer than the code"):
        await check(empty_postgres_dsn)


async def test_a_run_does_not_wait_for_another_for_ever(empty_postgres_dsn: str) -> None:
    other = await asyncpg.connect(empty_postgres_dsn)
    await other.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
    with pytest.raises(StartupError, match=r"another migration has been running for more than 0\.1 s"):
        await migrate(empty_postgres_dsn, [ONE], lock_timeout=0.1)
    await other.close()


async def test_a_server_out_of_reach_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"PostgreSQL at 127.0.0.1:1/x: "):
        await migrate("postgresql://u:secret@127.0.0.1:1/x")

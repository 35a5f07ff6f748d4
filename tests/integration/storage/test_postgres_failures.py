"""PostgreSQL out of reach, wrong, stopped or stuck."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.processes import frozen, silent_server
from support.stores import make_user, postgres_stores
from support.waiting import eventually

from core.errors import StartupError, StorageUnavailable
from storage.embedded import EmbeddedPostgres
from storage.postgres import Pool, PostgresLock, PostgresUsers, connect, migrate
from storage.postgres.errors import storage_errors


def changed(dsn: str, **parts: str) -> str:
    return urlsplit(dsn)._replace(**parts).geturl()


async def test_a_wrong_password_is_told_without_it(postgres_dsn: str) -> None:
    wrong = postgres_dsn.replace(str(urlsplit(postgres_dsn).password), "hunter2")
    with pytest.raises(StartupError, match="password authentication failed") as caught:
        await connect(wrong)
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value.__cause__, asyncpg.InvalidPasswordError)


async def test_a_missing_database_is_told(postgres_dsn: str) -> None:
    with pytest.raises(StartupError, match=r"PostgreSQL at 127\.0\.0\.1:\d+/nowhere: no such database"):
        await connect(changed(postgres_dsn, path="/nowhere"))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hunter2@127.0.0.1:1/x",
        "postgresql://u:hunter2@127.0.0.1:99999/x",
        "postgresql://u:hunter2@127.0.0.1:port/x",
        "postgresql://u:hun/ter@hunter2@127.0.0.1:1/x",
        "postgresql://u:hunter2@no-such-host.invalid/x",
        "postgresql://u@127.0.0.1:1/x?password=hunter2&sslmode=nonsense",
        "postgresql://u:hunter2@[::1/x",
        "hunter2",
    ],
)
async def test_an_address_that_leads_nowhere_is_told_without_its_password(dsn: str) -> None:
    with pytest.raises(StartupError) as caught:
        await connect(dsn, connect_timeout=2)
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


async def test_a_server_that_never_answers_is_given_up() -> None:
    with silent_server() as port, pytest.raises(StartupError, match="no answer in time"):
        await connect(f"postgresql://u:p@127.0.0.1:{port}/x", connect_timeout=0.2)


async def test_a_server_that_is_not_postgresql_is_refused(redis_url: str) -> None:
    place = urlsplit(redis_url).netloc.rpartition("@")[2]
    with pytest.raises(StartupError):
        await connect(f"postgresql://u:p@{place}/x", connect_timeout=2)


async def test_an_error_that_only_a_bug_can_cause_is_not_dressed_up(postgres_dsn: str) -> None:
    pool = await connect(postgres_dsn)
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetch("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.DataError):
        await PostgresUsers(pool).by_id("not an id")  # type: ignore[arg-type]
    await pool.close()


async def test_a_cancelled_call_gives_its_connection_back(postgres_dsn: str) -> None:
    pool = await connect(postgres_dsn, size=1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.fetch("SELECT pg_sleep(60)"), 0.05)
    await asyncio.wait_for(pool.ping(), 5)
    await pool.close()


async def test_a_busy_pool_and_a_slow_statement_are_given_up(postgres_dsn: str) -> None:
    pool = await connect(postgres_dsn, size=1, connect_timeout=1, statement_timeout=1.5)
    slow = asyncio.ensure_future(pool.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="no answer in time"):
        await pool.ping()
    with pytest.raises(StorageUnavailable, match="no answer in time"):
        await slow
    await pool.ping()
    await pool.close()


async def test_closing_cuts_what_does_not_end(postgres_dsn: str) -> None:
    pool = await connect(postgres_dsn)
    slow = asyncio.ensure_future(pool.fetch("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    await pool.ping()
    await pool.close(timeout=0.1)
    with pytest.raises(StorageUnavailable):
        await slow
    with pytest.raises(StorageUnavailable):
        await pool.ping()


async def test_the_drivers_error_stays_as_the_cause() -> None:
    with pytest.raises(StorageUnavailable) as caught, storage_errors():
        raise ConnectionRefusedError(111, "Connection refused")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.fixture
async def pool(postgres: EmbeddedPostgres) -> AsyncIterator[Pool]:
    """A pool on a server of this test's own, with short time-outs."""
    dsn = await postgres.start()
    await migrate(dsn)
    pool = await connect(dsn, connect_timeout=1, statement_timeout=1)
    yield pool
    await pool.close(timeout=1)


async def test_a_stop_in_the_middle_of_calls_is_told_and_passes(
    postgres: EmbeddedPostgres, pool: Pool
) -> None:
    stores, user = postgres_stores(pool), make_user()

    async def hold_open() -> None:
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO ingest_writer VALUES ('half', 1)")
            await connection.execute("SELECT pg_sleep(60)")

    calls = asyncio.gather(*(hold_open() for _ in range(3)), return_exceptions=True)
    await pool.ping()
    await postgres.stop()
    for outcome in await calls:
        with pytest.raises(StorageUnavailable):
            raise outcome
    with pytest.raises(StorageUnavailable):
        await stores.users.add(user)
    await postgres.start()
    assert await stores.users.add(user)
    assert await pool.fetch("SELECT * FROM ingest_writer") == [], "nothing was half-written"


async def test_a_stuck_server_is_given_up_and_found_again(postgres: EmbeddedPostgres, pool: Pool) -> None:
    row = await pool.fetchrow("SELECT pg_backend_pid() AS pid")
    assert postgres.pid
    with frozen(postgres.pid), frozen(row["pid"]):
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await asyncio.wait_for(pool.ping(), 10)

    async def answers() -> bool:
        try:
            await pool.ping()
        except StorageUnavailable:
            return False
        return True

    await eventually(answers)


async def test_the_holder_of_the_lock_notices_a_lost_connection(postgres_dsn: str) -> None:
    first, second = PostgresLock(postgres_dsn, "jobs"), PostgresLock(postgres_dsn, "jobs")
    await first.acquire()
    pool = await connect(postgres_dsn)
    await pool.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    assert not await first.held()
    await asyncio.wait_for(second.acquire(), 5)
    assert await second.held()
    assert not await first.held()
    await second.release()
    await asyncio.wait_for(first.acquire(), 5)
    assert await first.held()
    await first.release()
    await pool.close()


async def test_locks_of_different_names_do_not_exclude_each_other(postgres_dsn: str) -> None:
    locks = [PostgresLock(postgres_dsn, name) for name in ("jobs", "mail")]
    for lock in locks:
        await asyncio.wait_for(lock.acquire(), 5)
    for lock in locks:
        assert await lock.held()
        await lock.release()


async def test_the_lock_of_a_server_that_is_gone_is_lost(postgres: EmbeddedPostgres) -> None:
    lock = PostgresLock(await postgres.start(), "jobs", timeout=1)
    await lock.acquire()
    await postgres.stop()
    assert not await lock.held()
    with pytest.raises(StorageUnavailable):
        await lock.acquire()
    await postgres.start()
    await asyncio.wait_for(lock.acquire(), 5)
    assert await lock.held()
    await lock.release()


async def test_the_lock_of_a_stuck_server_counts_as_lost(postgres: EmbeddedPostgres) -> None:
    dsn = await postgres.start()
    lock = PostgresLock(dsn, "jobs", timeout=1)
    await lock.acquire()
    pool = await connect(dsn)
    row = await pool.fetchrow("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
    with frozen(row["pid"]):
        assert not await asyncio.wait_for(lock.held(), 10)
    await pool.close()

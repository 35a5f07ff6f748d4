"""``pulseboard ledger check``, as an operator runs it."""

import asyncio
import sys
from pathlib import Path

import asyncpg
from support.processes import python_environment

from storage.embedded import EmbeddedPostgres, embedded_address
from storage.postgres import migrate

SOUND = "the ledger is sound (people: 0; epochs computed again: none)\n"


async def check(data: Path, dsn: str = "") -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "core.cli", "ledger", "check"),
        env=python_environment(PULSEBOARD_DATA=str(data), PULSEBOARD_DATABASE_DSN=dsn),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def execute(dsn: str, script: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close(timeout=5)


async def test_a_sound_ledger_is_code_0(postgres_dsn: str, tmp_path: Path) -> None:
    assert await check(tmp_path, postgres_dsn) == (0, SOUND, "")


async def test_an_offending_row_is_shown_with_code_1(postgres_dsn: str, tmp_path: Path) -> None:
    await execute(
        postgres_dsn,
        "ALTER TABLE ledger_balance DISABLE TRIGGER USER;"
        "INSERT INTO ledger_balance VALUES (gen_random_uuid(), 'claimed', 'usage', 5)",
    )

    code, out, err = await check(tmp_path, postgres_dsn)

    assert (code, err) == (1, "")
    assert out.startswith("balance: account claimed of ")
    assert "shows 5 for usage, its postings come to 0" in out
    assert [line.partition(":")[0] for line in out.splitlines()] == ["balance", "figure"]


async def test_a_schema_of_another_release_is_refused(empty_postgres_dsn: str, tmp_path: Path) -> None:
    code, out, err = await check(tmp_path, empty_postgres_dsn)

    assert (code, out) == (1, "")
    assert "run `pulseboard migrate`" in err


async def test_without_an_address_the_embedded_database_is_looked_into(
    postgres: EmbeddedPostgres, data: Path, tmp_path: Path
) -> None:
    dsn = await postgres.start()
    await migrate(dsn)

    assert embedded_address(data) == dsn
    assert embedded_address(tmp_path) is None
    assert await check(data) == (0, SOUND, "")
    await postgres.stop()
    code, _, err = await check(data)
    assert code == 1
    assert "PostgreSQL at 127.0.0.1" in err

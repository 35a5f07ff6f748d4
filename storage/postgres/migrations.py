"""The schema: applied migration by migration, and compared with the code at every start.

A migration is a file ``sql/migrations/<four digits>_<name>.sql``. Each is applied in one transaction
together with its row in ``schema_migration``, under an advisory lock: an interruption leaves the
migrations before it, and of two runs at the same time the second finds everything done. A file that
was applied must never change again; its checksum is compared.
"""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import asyncpg
from msgspec import Struct

from core.errors import StartupError
from core.logs import get_logger
from storage.postgres.errors import startup_errors
from storage.postgres.pool import APPLICATION_NAME, Pool, hang_up
from storage.postgres.queries import load

# Any number will do, as long as nobody else locks it in this database.
MIGRATION_LOCK = 0x70756C73_65626F61

_SQL = load("migrations")


class Migration(Struct, frozen=True):
    """One step of the schema; `checksum` is SHA-256 of its file."""

    version: int
    name: str
    script: str
    checksum: str


def read_migrations(folder: Traversable | None = None) -> list[Migration]:
    """The migrations of `folder` (default: those of this release), in order."""
    folder = folder or files(__package__).joinpath("sql", "migrations")
    migrations = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql") and number.isdigit() and name:
            content = file.read_bytes()
            checksum = hashlib.sha256(content).hexdigest()
            migrations.append(Migration(int(number), file.name, content.decode(), checksum))
    return migrations


async def migrate(
    dsn: str,
    migrations: Sequence[Migration] | None = None,
    *,
    connect_timeout: float = 10.0,
    lock_timeout: float = 60.0,
) -> list[str]:
    """Bring the database at `dsn` up to date; returns the names of what was applied now.

    Waits up to `lock_timeout` seconds for another run to end. Needs a direct connection, not one
    through a transaction pooler.

    Raises:
        StartupError: the server refuses, the database is newer than the code, an applied file was
            changed, or a migration fails (which is then undone).
    """
    wanted = read_migrations() if migrations is None else migrations
    with startup_errors(dsn):
        connection = await asyncpg.connect(
            dsn, timeout=connect_timeout, server_settings={"application_name": APPLICATION_NAME}
        )
        try:
            try:
                await connection.execute(_SQL["lock"], MIGRATION_LOCK, timeout=lock_timeout)
            except TimeoutError as error:
                raise StartupError(
                    f"another migration has been running for more than {lock_timeout:g} s"
                ) from error
            await connection.execute(_SQL["create"])
            return [await _apply(connection, migration) for migration in await _pending(connection, wanted)]
        finally:
            # Ends the lock as well.
            await hang_up(connection, connect_timeout)


async def check_schema(pool: Pool) -> None:
    """Raise `StartupError` unless the database's schema is exactly what this code expects."""
    async with pool.connection() as connection:
        exists = await connection.fetchval(_SQL["exists"])
        pending = await _pending(connection, read_migrations()) if exists else read_migrations()
    if pending:
        raise StartupError(f"the database lacks {len(pending)} migration(s): run `pulseboard migrate`")


async def _pending(connection: Any, wanted: Sequence[Migration]) -> list[Migration]:
    ours = {migration.version: migration for migration in wanted}
    applied = await connection.fetch(_SQL["applied"])
    for version, name, checksum in applied:
        if version not in ours:
            raise StartupError(
                f"the database is newer than the code: it has migration {name}, unknown to this release"
            )
        if ours[version].checksum != checksum:
            raise StartupError(f"migration {ours[version].name} was changed after it had been applied")
    done = {row["version"] for row in applied}
    return [migration for migration in wanted if migration.version not in done]


async def _apply(connection: Any, migration: Migration) -> str:
    try:
        async with connection.transaction():
            await connection.execute(migration.script)
            await connection.execute(_SQL["record"], migration.version, migration.name, migration.checksum)
    except asyncpg.PostgresError as error:
        raise StartupError(f"migration {migration.name} failed and was undone: {error}") from error
    get_logger("storage").info("migration applied", migration=migration.name)
    return migration.name

"""Real servers for whoever asks for them."""

import logging
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import structlog
from support.servers import FAST_SETTINGS, Databases

from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.postgres import Pool, connect


@pytest.fixture(scope="session")
async def databases(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    """A PostgreSQL server for the whole run, and databases on it."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=FAST_SETTINGS)
    databases = Databases(await server.start())
    try:
        await databases.open()
        yield databases
    finally:
        await databases.close()
        await server.stop()


@pytest.fixture
async def postgres_dsn(databases: Databases) -> AsyncIterator[str]:
    """The address of a fresh database with the current schema, for this test only."""
    dsn = await databases.create()
    yield dsn
    await databases.drop(dsn)


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator[Pool]:
    """Connections to a fresh database with the current schema, for this test only."""
    pool = await connect(postgres_dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def empty_postgres_dsn(databases: Databases) -> AsyncIterator[str]:
    """The address of a fresh database without any table, for this test only."""
    dsn = await databases.create("template1")
    yield dsn
    await databases.drop(dsn)


@pytest.fixture(scope="session")
async def redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a Valkey server for the whole run; use it with `redis_prefix`."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    yield await server.start()
    await server.stop()


@pytest.fixture
def redis_prefix() -> str:
    """A prefix for the keys of this test only."""
    return f"test-{uuid4().hex}"


@pytest.fixture
def own_log_settings() -> Iterator[None]:
    """Lets a test call `core.logs.configure`; the others never notice."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    saved = structlog.get_config()
    yield
    structlog.configure(**saved)
    root.handlers[:] = handlers
    root.setLevel(level)

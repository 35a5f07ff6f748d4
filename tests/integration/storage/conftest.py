"""Servers that a test may stop, kill and break."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.embedded import EmbeddedPostgres, EmbeddedValkey


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for one PostgreSQL server after the other."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
async def postgres(data: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server on `data` that has run before, not started yet."""
    # Commits still reach the system before they are told: a killed server loses none.
    server = EmbeddedPostgres(data, settings={"fsync": "off"})
    if not (data / "postgres").exists():
        await server.start()
        await server.stop()
    yield server
    await server.stop()


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nobody but root may write."""
    tmp_path.chmod(0o500)
    yield tmp_path
    tmp_path.chmod(0o700)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A server on a new folder, not started yet."""
    server = EmbeddedValkey(tmp_path / "data")
    yield server
    await server.stop()

"""A system with people, nodes and closed epochs, for tests that look at every page of it."""

from collections.abc import AsyncIterator

import pytest
from support.town import Town


@pytest.fixture(scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A system in use; tests leave it running."""
    town = await Town.build(tmp_path_factory.mktemp("town"))
    yield town
    assert await town.system.stop() == 0

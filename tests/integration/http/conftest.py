from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.api import Api, running_api


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A web bundle, as small as one can be."""
    folder = tmp_path / "bundle"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<!doctype html><title>Pulseboard</title>")
    (folder / "assets" / "index-abc123.js").write_bytes(b"let pulse;" * 1000)
    return folder


@pytest.fixture
async def api(bundle: Path) -> AsyncIterator[Api]:
    async with running_api(bundle) as api:
        yield api

"""Operators replace the files that tell where addresses are: taking new ones."""

import asyncio

from core.metrics import Metrics
from services.places import Places


class PlacesUpkeep:
    """Looks now and then whether there are new files."""

    name = "places"
    interval = 5.0

    def __init__(self, places: Places) -> None:
        self._places = places

    async def step(self) -> None:
        """Look once; nothing else waits for it."""
        await asyncio.to_thread(self._places.refresh)

    def metrics(self) -> Metrics:
        """What the files hold, and which were refused."""
        return self._places.metrics()

"""Waits that end, and say for whom they waited."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

# Seconds within which a server has answered whatever it answers.
PATIENCE = 10.0


class Overdue(Exception):
    """What was waited for did not happen in time."""


@asynccontextmanager
async def waiting_for(whom: str | Callable[[], str], seconds: float | None = None) -> AsyncIterator[None]:
    """Let the block take `seconds` at most; None: as long as its own bounds say.

    `whom` tells what is waited for, and how it stands when the time is over.

    Raises:
        Overdue: naming it; the cause shows at which line the block waited.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Overdue(f"waited in vain for {whom if isinstance(whom, str) else whom()}") from error

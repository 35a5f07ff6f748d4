"""Tasks that are over when they have to be."""

import asyncio
from collections.abc import Iterable
from typing import Any

# Seconds in which a task that was told to end may do what it ends with.
PATIENCE = 2.0


async def end(tasks: Iterable[asyncio.Task[Any]], patience: float = PATIENCE) -> None:
    """Cancel `tasks` and wait until all of them are over, whatever they end with.

    A cancellation that meets an error in what a task waits for can be lost: the task sees the error alone
    and goes on (`asyncio.wait_for` before Python 3.12, and drivers). So whoever is not over after `patience`
    seconds is told again. Being cancelled itself it still waits, and is cancelled then.
    """
    told = list(tasks)
    running = {task for task in told if not task.done()}
    cancelled = False
    while running:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=patience)
        except asyncio.CancelledError:
            cancelled = True
        running = {task for task in running if not task.done()}
    await asyncio.gather(*told, return_exceptions=True)
    if cancelled:
        raise asyncio.CancelledError

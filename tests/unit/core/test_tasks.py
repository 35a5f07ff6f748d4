"""Ending tasks for certain."""

import asyncio

import pytest

from core.tasks import end


async def forever(losses: int, error: type[BaseException] | None = None) -> None:
    """Lose so many cancellations, then end by the next one, or with `error`."""
    while True:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if not losses:
                raise (error or asyncio.CancelledError) from None
            losses -= 1


async def started(*losses: int, error: type[BaseException] | None = None) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(forever(count, error)) for count in losses]
    await asyncio.sleep(0)
    return tasks


async def test_all_are_over_even_those_that_lose_their_cancellation() -> None:
    tasks = await started(0, 2, 1)
    await end(tasks, patience=0.01)
    assert all(task.cancelled() for task in tasks)


async def test_what_they_end_with_is_theirs() -> None:
    tasks = await started(0, error=ValueError)
    await end([*tasks, asyncio.create_task(asyncio.sleep(0))])
    assert isinstance(tasks[0].exception(), ValueError)
    await end(tasks)
    await end([])


async def test_whoever_is_cancelled_meanwhile_leaves_none_behind() -> None:
    tasks = await started(1)
    ending = asyncio.create_task(end(tasks, patience=0.01))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert tasks[0].cancelled()

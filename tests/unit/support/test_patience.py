"""Waits of the fleet that end and say for whom they waited."""

import asyncio

import pytest
from support.fleet.patience import Overdue, waiting_for


async def test_who_is_waited_for_too_long_is_named_as_it_is_by_then() -> None:
    seen: list[str] = []

    async def wait() -> None:
        async with waiting_for(lambda: f"a word, after {seen[0]}", 0.01):
            seen.append("two others")
            await asyncio.Event().wait()

    with pytest.raises(Overdue, match="waited in vain for a word, after two others"):
        await wait()


async def test_a_bound_within_the_block_is_named_too() -> None:
    with pytest.raises(Overdue, match="waited in vain for somebody"):
        async with waiting_for("somebody"), asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_what_comes_in_time_passes() -> None:
    come = asyncio.Event()
    come.set()
    async with waiting_for("somebody", 10):
        await come.wait()


async def test_other_failures_pass_as_they_are() -> None:
    with pytest.raises(KeyError):
        async with waiting_for("somebody", 10):
            raise KeyError


async def test_who_is_cancelled_is_not_overdue() -> None:
    began = asyncio.Event()

    async def wait() -> None:
        async with waiting_for("somebody", 10):
            began.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await began.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

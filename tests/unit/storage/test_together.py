import asyncio
from collections.abc import Mapping

import pytest

from core.errors import StorageUnavailable
from storage.postgres.together import UNDER_WAY, Together


class Store:
    """Finds squares when it is let, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.let = asyncio.Event()
        self.let.set()
        self.error: Exception | None = None

    async def look_up(self, keys: list[int]) -> Mapping[int, int]:
        self.asked.append(keys)
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return {key: key * key for key in keys if key >= 0}


async def test_those_who_come_together_share_a_statement() -> None:
    store = Store()
    together = Together(store.look_up)
    assert await asyncio.gather(*(together.get(key) for key in (1, 2, 3, 2))) == [1, 4, 9, 4]
    assert store.asked == [[1, 2, 3]]


async def test_what_there_is_not_is_none() -> None:
    assert await Together(Store().look_up).get(-1) is None


async def test_who_comes_while_one_is_under_way_is_never_answered_by_it() -> None:
    store = Store()
    together = Together(store.look_up)
    store.let.clear()
    first = [asyncio.create_task(together.get(number)) for number in range(UNDER_WAY)]
    for _ in range(UNDER_WAY + 1):
        await asyncio.sleep(0)
    begun = len(store.asked)
    late = [asyncio.create_task(together.get(0)) for _ in range(50)]
    for _ in range(UNDER_WAY + 1):
        await asyncio.sleep(0)
    store.let.set()
    await asyncio.gather(*first, *late)
    assert begun < len(store.asked) <= begun + UNDER_WAY


async def test_a_failure_reaches_all_who_waited_and_nobody_after() -> None:
    store = Store()
    together = Together(store.look_up)
    store.error = StorageUnavailable("away")
    found = await asyncio.gather(together.get(1), together.get(2), return_exceptions=True)
    assert [type(each) for each in found] == [StorageUnavailable] * 2
    store.error = None
    assert await together.get(3) == 9


async def test_who_leaves_does_not_take_the_others_along() -> None:
    store = Store()
    together = Together(store.look_up)
    store.let.clear()
    leaving, staying = (asyncio.create_task(together.get(key)) for key in (1, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    store.let.set()
    assert await staying == 4

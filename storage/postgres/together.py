"""Look-ups that share statements."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Statements under way at once: with one, everybody would wait for a slow one.
UNDER_WAY = 2


class Together(Generic[K, V]):
    """Answers many look-ups of one thing each with few statements.

    A look-up goes into a statement that was not sent yet when it came, so it sees everything that was
    committed before it, as if it had one of its own; nothing is kept. Alone it costs one statement, and
    under load a share of one. May be used by all tasks of one event loop.
    """

    def __init__(self, look_up: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> None:
        """`look_up` finds several at once; what there is not, it leaves out."""
        self._look_up = look_up
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """What there is under `key`; raises what `look_up` raises."""
        found: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(found)
        if len(self._tasks) < UNDER_WAY:
            # It begins in the loop's next round: who comes in this one still gets in.
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await found

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                values = await self._look_up(list(batch))
            except Exception as error:
                for futures in batch.values():
                    for future in futures:
                        if not future.done():
                            future.set_exception(error)
            except BaseException:
                for futures in batch.values():
                    for future in futures:
                        future.cancel()
                raise
            else:
                for key, futures in batch.items():
                    for future in futures:
                        # Whoever asked may have gone meanwhile.
                        if not future.done():
                            future.set_result(values.get(key))

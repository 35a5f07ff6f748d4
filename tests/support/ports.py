"""What a service asks of its ports: written down, and cut off where a test wants it."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from support.house import House

from core.errors import StorageUnavailable

STORES = ("users", "sessions", "nodes", "confirmations", "outbox", "second_factors", "audit")


class Ports:
    """Listens to a house's stores, throttle and password hashes.

    `calls` are the names of what was called; after `left` further calls every server is away.
    """

    def __init__(self, house: House) -> None:
        self.calls: list[str] = []
        self.left: int | None = None
        for name in STORES:
            self._listen(name, getattr(house.stores, name))
        self._listen("throttle", house.throttle)
        self._listen("passwords", house.passwords)

    def _listen(self, name: str, port: Any) -> None:
        for method, call in inspect.getmembers(port, inspect.iscoroutinefunction):
            if not method.startswith("_"):
                setattr(port, method, self._heard(f"{name}.{method}", call))

    def _heard(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def heard(*args: Any, **kwargs: Any) -> Any:
            if self.left is not None and not name.startswith("passwords."):
                if self.left == 0:
                    raise StorageUnavailable("cut off")
                self.left -= 1
            self.calls.append(name)
            return await call(*args, **kwargs)

        return heard

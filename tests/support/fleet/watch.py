"""What people see on their sockets, and when."""

import asyncio
from itertools import pairwise
from typing import Any, Self
from uuid import UUID

from msgspec import Struct
from support.fleet.line import now_ms
from support.fleet.node import Owner
from support.fleet.patience import PATIENCE, waiting_for
from support.waiting import eventually
from support.websocket import Socket

CONNECTED = frozenset({"online", "degraded"})


class News(Struct, frozen=True):
    """A value of a channel that came at `at_ms`; the first one is a snapshot, not an event."""

    at_ms: int
    kind: str
    offset: int
    data: dict[str, Any]


class Feed:
    """Follows a channel: `news` are its values in order."""

    channel = "network"

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.news: list[News] = []
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, port: int, owner: Owner) -> Self:
        """Begin to follow it, as `owner`."""
        async with waiting_for(f"channel {cls.channel} on port {port}", PATIENCE):
            socket = await Socket.open(port, token=owner.token)
            assert socket.status == 101, socket.body
            await socket.receive("welcome")
            socket.send({"type": "subscribe", "channel": cls.channel})
            await socket.receive("subscribed")
        return cls(socket)

    async def close(self) -> None:
        """End it; raises what went wrong while following."""
        if not self._reader.done():
            self._reader.cancel()
        async with waiting_for(f"the end of channel {self.channel}", PATIENCE):
            await asyncio.wait({self._reader})
            await self._socket.leave()
        if not self._reader.cancelled():
            self._reader.result()

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] in ("snapshot", "event"):
                self.news.append(News(now_ms(), message["type"], message["offset"], message["data"]))


class Watch(Feed):
    """Follows channel ``me`` of an owner."""

    channel = "me"

    @property
    def seen(self) -> list[tuple[int, dict[UUID, str]]]:
        """When the owner saw the nodes in which states, in order."""
        return [(each.at_ms, _states(each.data)) for each in self.news]

    def delay(self, node_id: UUID, states: frozenset[str], since_ms: int) -> float:
        """Seconds from `since_ms` until the owner saw the node in one of `states`; infinite if never."""
        shown = [(at, overview.get(node_id)) for at, overview in self.seen]
        before = [state for at, state in shown if at < since_ms]
        if before and before[-1] in states:
            return 0.0
        return next(
            ((at - since_ms) / 1000 for at, state in shown if at >= since_ms and state in states),
            float("inf"),
        )

    async def until(self, node_id: UUID, state: str, since_ms: int) -> float:
        """Wait until the owner has seen the node in `state`; returns the seconds from `since_ms` to that."""
        states = frozenset({state})

        async def told() -> bool:
            return self.delay(node_id, states, since_ms) < float("inf")

        async with waiting_for(lambda: f"{state} of {node_id}, which was {self._shown(node_id)}"):
            await eventually(told)
        return self.delay(node_id, states, since_ms)

    def _shown(self, node_id: UUID) -> list[str]:
        """Every state of a node that the owner saw."""
        return [overview[node_id] for _, overview in self.seen if node_id in overview]

    def changes(self, node_id: UUID, until_ms: int) -> int:
        """How often the owner saw the node's state change."""
        states = [overview.get(node_id, "offline") for at, overview in self.seen if at < until_ms]
        return sum(before != after for before, after in pairwise(states))


def _states(overview: dict[str, Any]) -> dict[UUID, str]:
    return {UUID(node["node_id"]): str(node["state"]) for node in overview["nodes"]}

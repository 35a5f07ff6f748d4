"""What an attack on a worker is, and what is noted down while one runs.

An attack says what is sent, with which code it has to end and how soon; `run` lets it loose on a worker
and reports what came of it.
"""

import asyncio
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.bystander import Bystander, Sample
from support.waiting import eventually
from support.websocket import Socket, upgrade_request
from support.workers import WorkerProcess, person_token

# Endings that have no code of their own.
UNANSWERED = 0  # the stream ends without a word
SERVED = 1  # nothing is wrong with it: it is answered like everybody's
ENDLESS = -1  # it is still there when patience ends

# Memory that comes and goes without anybody's fault, bytes: the allocator's and the kernel's counters.
NOISE = 2 << 20
# Buffers of the largest message that the allocator may keep for the next one.
KEPT = 2
# Pings that must have been answered during and right after an attack.
FEWEST_SAMPLES = 5


class Target:
    """A worker under attack, from the attackers' side."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self.echo = process.echo
        self._sockets: list[Socket] = []
        self._token = person_token()

    @property
    def sent(self) -> int:
        """Bytes that the attackers have sent."""
        return sum(socket.sent for socket in self._sockets)

    @property
    def max_message(self) -> int:
        """Bytes that one message may have."""
        return 16 << 20 if self.echo else 64 << 10

    def request(self, **changes: Any) -> bytes:
        """An upgrade request that is let in, but for the changes (see `upgrade_request`)."""
        usual = {"path": "/echo", "subprotocols": None} if self.echo else {"token": self._token}
        return upgrade_request(**{**usual, **changes})

    async def connect(self, receive_buffer: int | None = None) -> Socket:
        """A connection on which nothing was said yet."""
        socket = await Socket.connect(self.process.port, receive_buffer)
        self._sockets.append(socket)
        return socket

    async def open(self, receive_buffer: int | None = None, **changes: Any) -> Socket:
        """An upgraded connection, and one that was welcomed if the worker does so."""
        socket = await self.connect(receive_buffer)
        await socket.request(self.request(**changes))
        assert socket.status == 101, socket.body
        if not self.echo and changes.get("token", self._token):
            await socket.raw_frame()
        return socket

    async def counted(self, name: str) -> int:
        """A metric, 0 while nothing was counted."""
        return int((await self.process.metrics()).get(name, 0))

    async def counts(self, name: str, timeout: float = 10.0) -> Callable[[], Awaitable[None]]:
        """Returns what waits until the metric has grown since now."""
        before = await self.counted(name)

        async def grown() -> bool:
            return await self.counted(name) > before

        return lambda: eventually(grown, timeout)


@dataclass(frozen=True)
class Attack(ABC):
    """One way of doing a worker harm: `times` connections do it at the same time.

    Each has to end with `code`, an HTTP status, a close code or one of the constants above, not before
    `after` and at most `within` seconds after it began. Processing it may take `room` bytes of memory
    on top of what it is worth.
    """

    name: str
    code: int
    times: int = 5
    after: float = 0.0
    within: float = 5.0
    room: int = 0
    #: Whether it makes sense against a worker that asks for authentication, and one that echoes.
    on_worker: bool = True
    on_echo: bool = True

    async def prepare(self, target: Target) -> Socket:
        """The innocent beginning."""
        return await target.open()

    @abstractmethod
    async def strike(self, target: Target, socket: Socket) -> int:
        """The attack itself; returns how it ended."""


@dataclass(frozen=True)
class Report:
    """What came of an attack: its endings as (code, seconds), and what it did to the worker."""

    attack: Attack
    endings: list[tuple[int, float]]
    #: The bodies of the answers to requests.
    bodies: list[bytes]
    seconds: float
    sent: int
    #: Bytes that one message may have.
    largest: int
    #: Bytes of memory at the worst moment and at the end, over what was there before.
    grown: int
    kept: int
    connections_left: int
    lines: list[str]
    #: Seconds that others waited for their pongs, here and from a worker that nobody attacked.
    waits: list[float]
    usual_waits: list[float]


async def run(attack: Attack, process: WorkerProcess, bystander: Bystander, name: str) -> Report:
    """Let an attack loose on a worker that the bystander calls `name`."""
    target = Target(process)
    lines = process.lines
    open_before = await target.counted("connections_open")
    await bystander.samples()
    process.forget_peak()
    memory, began = process.resident(), time.monotonic()
    allowed = NOISE + KEPT * target.max_message
    attempts = await asyncio.gather(*(_attempt(attack, target) for _ in range(attack.times)))
    seconds = time.monotonic() - began
    grown = process.peak() - memory
    sent = target.sent
    samples = await _enough(bystander, began, name)
    await Socket.leave_all()

    async def normal() -> bool:
        return (
            await target.counted("connections_open") <= open_before and process.resident() - memory <= allowed
        )

    with suppress(TimeoutError):  # what is kept and left tells
        await eventually(normal)
    return Report(
        attack=attack,
        endings=[(code, seconds) for code, seconds, _ in attempts],
        bodies=[body for _, _, body in attempts],
        seconds=seconds,
        sent=sent,
        largest=target.max_message,
        grown=grown,
        kept=process.resident() - memory,
        connections_left=await target.counted("connections_open") - open_before,
        lines=process.command.lines[lines:],
        waits=[sample.seconds for sample in samples if sample.name == name],
        usual_waits=[sample.seconds for sample in samples if sample.name != name],
    )


async def _attempt(attack: Attack, target: Target) -> tuple[int, float, bytes]:
    """One connection's code, seconds and the body of the answer to its request."""
    began = time.monotonic()
    socket = await attack.prepare(target)
    try:
        code = await attack.strike(target, socket)
    except TimeoutError:
        code = ENDLESS
    return code, time.monotonic() - began, socket.body


async def _enough(bystander: Bystander, began: float, name: str) -> list[Sample]:
    samples: list[Sample] = []

    async def measured() -> bool:
        samples.extend(sample for sample in await bystander.samples() if sample.at + sample.seconds >= began)
        return sum(sample.name == name for sample in samples) >= FEWEST_SAMPLES

    await eventually(measured)
    return samples


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def is_problem(body: bytes) -> bool:
    """Whether it is a problem (RFC 9457) in words of our own."""
    problem = json.loads(body)
    foreign = ("b'", '"', "\\", "Error", "Traceback", "codec", ".py", "None")
    return set(problem) >= {"status", "code", "detail"} and not any(
        word in problem["detail"] for word in foreign
    )

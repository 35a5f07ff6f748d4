"""One connection of a fleet's node, and the record of what it did.

A line acts in the middle of seconds: it holds answers back, and waits before it connects, until the second
is neither about to begin nor to end. So a moment's delay on a busy machine moves nothing into another
second. Behind every answer goes a `ping`; its `pong` tells that the server has had the answer by then.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from support.fleet.patience import PATIENCE, waiting_for
from support.fleet.truth import Answer, Link, Miss, Moment
from support.websocket import Socket

from core.errors import CloseCode
from core.messages import (
    MSGPACK_SUBPROTOCOL,
    Challenge,
    Error,
    Pong,
    Reconnect,
    ServerMessage,
    msgpack_decode_server,
)
from ext import frames

# The part of a second to act in, as fractions: what follows takes the machine no longer than the rest.
MIDDLE = (0.15, 0.5)
# The server's word for an answer that is late.
UNKNOWN = "challenge_unknown"
# The close code of what ended without one.
ABNORMAL = 1006

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Respond = Callable[["Line", bytes], Coroutine[Any, Any, None]]


def now_ms() -> int:
    """The time on the clock that the servers read too."""
    return time.time_ns() // 1_000_000


async def middle_of_a_second() -> None:
    """Wait for the part of a second to act in."""
    fraction = time.time() % 1.0
    begin, end = MIDDLE
    if not begin <= fraction < end:
        await asyncio.sleep((begin - fraction) % 1.0)


class Line:
    """An open connection that reads and keeps `link` up to date.

    `respond` is started with the nonce of each challenge, and cancelled when the connection ends.
    """

    def __init__(self, socket: Socket, link: Link, respond: Respond) -> None:
        self.link = link
        self._socket = socket
        self._respond = respond
        self._pongs: deque[Callable[[int], None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._news = asyncio.Event()
        self._left: tuple[int, int] | None = None
        self._failure: BaseException | None = None
        #: Milliseconds since the epoch; who killed the worker sets it.
        self.noticed_by = 0
        self._back_after: float | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, port: int, *, token: str, address: str, version: str, respond: Respond) -> Self:
        """Connect through a proxy that says `address`; returns once welcomed."""
        await middle_of_a_second()
        async with waiting_for(f"a welcome on port {port} for {address}", PATIENCE):
            socket = await Socket.open(
                port, token=token, subprotocols=MSGPACK_SUBPROTOCOL, extra=[("X-Forwarded-For", address)]
            )
            assert socket.status == 101, socket.body
            welcome = await socket.receive("welcome")
        link = Link(
            connection=UUID(welcome["session"]),
            worker=welcome["worker"],
            address=address,
            version=version,
            opened=Moment(_server_ms(welcome["server_time"]), now_ms()),
        )
        return cls(socket, link, respond)

    @property
    def is_open(self) -> bool:
        """Whether the connection has not ended yet."""
        return self.link.ended is None

    # --- what behaviours do -----------------------------------------------------------------------

    def answer(self, nonce: bytes, signature: bytes) -> None:
        """Send the right answer to the open challenge."""
        sent, refused = now_ms(), self.link.refused.get(UNKNOWN, 0)
        self._send_reply(nonce, signature)
        place = len(self.link.marks)
        # Until the pong comes nobody knows whether it was heard.
        self.link.marks.append(Answer(Moment(sent, sent + round(PATIENCE * 1000)), heard=False))

        def heard(server_ms: int) -> None:
            if self.link.refused.get(UNKNOWN, 0) > refused:
                # A busy machine made it late: the deadline was over when the server read it.
                self.link.tricks += 1
                self.link.marks[place] = Miss()
            else:
                self.link.marks[place] = Answer(Moment(sent, server_ms))

        self._news.set()
        self._ping(heard)

    def cheat(self, nonce: bytes, signature: bytes) -> None:
        """Send an answer that must not count."""
        self.link.tricks += 1
        self._send_reply(nonce, signature)

    def missed(self) -> None:
        """A challenge went by without a right answer."""
        if self.is_open:
            self.link.marks.append(Miss())
            self._news.set()

    def beat(self, up: int, down: int) -> None:
        """Report bytes."""
        self._socket.send(
            {"type": "beat", "bytes_up": up, "bytes_down": down, "agent_version": self.link.version}
        )
        self.link.sent_up += up
        self.link.sent_down += down

        def taken(_: int) -> None:
            self.link.beats += 1
            self.link.bytes_up += up
            self.link.bytes_down += down

        self._ping(taken)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something as long as the connection is open and wanted; a failure of it ends both."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def boast(self, up: int, down: int) -> None:
        """Report bytes that nobody can have moved."""
        self.link.tricks += 1
        self._socket.send({"type": "beat", "bytes_up": up, "bytes_down": down})

    async def leave(self, code: int = CloseCode.NORMAL) -> None:
        """Close with `code`, as agents do, once the server has heard everything."""
        await self._calm()
        if not self.is_open:
            return
        # Who leaves because the server asked for it ends by the server's doing.
        asked = self._back_after is not None and code == CloseCode.NORMAL
        self._left = now_ms(), CloseCode.DRAIN if asked else code
        self._socket.send_frame(frames.CLOSE, code.to_bytes(2, "big"))
        await self.ended()

    async def vanish(self) -> None:
        """Drop the connection without a word, once the server has heard everything."""
        await self._calm()
        if not self.is_open:
            return
        self._left = now_ms(), ABNORMAL
        self._socket.vanish()
        await self.ended()

    async def told_to_leave(self, seconds: float) -> float:
        """Wait until the server asks to leave; returns after how many seconds to come back."""
        async with waiting_for(lambda: f"word to leave on {self.link}", seconds):
            while self._back_after is None:
                assert self.is_open, f"ended before it was told to leave: {self.link}"
                self._news.clear()
                await self._news.wait()
        return self._back_after

    async def marked(self, kind: type[Answer | Miss]) -> None:
        """Wait until the newest mark is of this kind, or the connection has ended."""
        async with waiting_for(lambda: f"the next {kind.__name__} on {self.link}", PATIENCE):
            while self.is_open and not (self.link.marks and isinstance(self.link.marks[-1], kind)):
                self._news.clear()
                await self._news.wait()

    async def ended(self, seconds: float = PATIENCE) -> None:
        """Wait until the connection has ended, whoever ends it."""
        async with waiting_for(lambda: f"the end of {self.link}", seconds):
            await asyncio.wait({self._reader})
        if self._failure is not None:
            raise self._failure
        self._reader.result()

    # --- inside -----------------------------------------------------------------------------------

    async def _calm(self) -> None:
        """Answer no more, and wait until what was sent is heard."""
        for task in self._tasks:
            task.cancel()
        async with waiting_for(lambda: f"{len(self._pongs)} pongs on {self.link}", PATIENCE):
            await self._quiet.wait()

    def _send_reply(self, nonce: bytes, signature: bytes) -> None:
        self._socket.send({"type": "challenge_reply", "nonce": nonce, "signature": signature})

    def _ping(self, heard: Callable[[int], None]) -> None:
        self._pongs.append(heard)
        self._quiet.clear()
        self._socket.send({"type": "ping"})

    async def _read(self) -> None:
        code, seen = ABNORMAL, None
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                opcode, payload = await self._socket.frame()
                if opcode == frames.CLOSE:
                    # Before our reply, on which the server notes the end.
                    code, seen = int.from_bytes(payload[:2], "big"), now_ms()
                    if self._left is None:
                        self._socket.send_frame(frames.CLOSE, payload[:2])
                    break
                if opcode == frames.PING:
                    self._socket.send_frame(frames.PONG, payload)
                else:
                    self._take(msgpack_decode_server(payload))
        self._end(code, seen or now_ms())
        await self._socket.leave()

    def _take(self, message: ServerMessage) -> None:
        match message:
            case Challenge(nonce=nonce):
                self.beside(self._respond(self, nonce))
            case Pong(server_time=server_time):
                self._pongs.popleft()(_server_ms(server_time))
                if not self._pongs:
                    self._quiet.set()
            case Error(code=code):
                self.link.refused[code] = self.link.refused.get(code, 0) + 1
            case Reconnect(after_ms=after_ms):
                self._back_after = after_ms / 1000
                self._news.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._socket.vanish()

    def _end(self, code: int, seen: int) -> None:
        began, code = self._left or (seen, code)
        self.link.ended, self.link.code = Moment(began, max(now_ms(), self.noticed_by)), code
        self._pongs.clear()
        self._quiet.set()
        self._news.set()
        for task in self._tasks:
            task.cancel()


def _server_ms(server_time: datetime) -> int:
    """The server's time in whole milliseconds since the epoch, rounded down as servers do."""
    return (server_time - EPOCH) // timedelta(milliseconds=1)

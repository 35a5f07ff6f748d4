"""Peers that flood, dawdle, fall silent or vanish."""

import asyncio
import resource
import socket as sockets
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from reference.frames import client_frame
from support.attack import SERVED, UNANSWERED, Attack, Target
from support.bad_frames import QUESTION
from support.bystander import Bystander
from support.processes import frozen
from support.websocket import Socket

from core.errors import CloseCode
from ext.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, deflate_payload

DEFLATE = {"replace": {"Sec-WebSocket-Extensions": "permessage-deflate"}}
RSV1 = 4
SMALL_BUFFER = 4096
# ip(7); not in Python's socket module.
IP_MINTTL = 21
MAX_TTL = 255


@cache
def _bomb(size: int) -> bytes:
    packed = deflate_payload(QUESTION + b" " * (size - len(QUESTION)))
    return client_frame(TEXT, packed, reserved=RSV1)


@dataclass(frozen=True)
class Bomb(Attack):
    """A compressed message of spaces that inflates to `extra` bytes over the limit."""

    extra: int = 0
    room: int = 4 << 20

    async def prepare(self, target: Target) -> Socket:
        """With compression."""
        return await target.open(**DEFLATE)

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the close code, or the message's answer."""
        socket.send_raw(_bomb(target.max_message + self.extra))
        first, payload = await socket.raw_frame()
        if first & 15 == CLOSE:
            return int.from_bytes(payload[:2], "big")
        return SERVED


@dataclass(frozen=True)
class EmptyFragments(Attack):
    """A message in a million fragments of which all but two are empty."""

    times: int = 1
    within: float = 20.0

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the message's answer, or the close code."""
        socket.send_raw(client_frame(TEXT, QUESTION[:20], final=False))
        empty = client_frame(CONTINUATION, b"", final=False) * 10_000
        for _ in range(100):
            socket.send_raw(empty)
            await socket.writer.drain()
        socket.send_raw(client_frame(CONTINUATION, QUESTION[20:]))
        opcode, payload = await socket.frame()
        return int.from_bytes(payload[:2], "big") if opcode == CLOSE else SERVED


@dataclass(frozen=True)
class Flood(Attack):
    """The same frame again and again from a peer that never reads the answers."""

    times: int = 3
    within: float = 20.0
    frame: bytes = b""
    #: The metric that counts those who are let go for it.
    counter: str = "slow_consumers_total"

    async def prepare(self, target: Target) -> Socket:
        """Stop reading."""
        socket = await target.open(receive_buffer=SMALL_BUFFER)
        socket.writer.transport.pause_reading()
        return socket

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends when the worker drops the connection; what for, it counts."""
        let_go = await target.counts(self.counter)
        piece = self.frame * (65536 // len(self.frame))
        with suppress(ConnectionError):
            while not socket.writer.transport.is_closing():
                socket.send_raw(piece)
                await socket.writer.drain()
        await let_go()
        return self.code


@dataclass(frozen=True)
class FloodAfterTheEnd(Attack):
    """Whoever was told to leave for a bad frame goes on sending for ever."""

    times: int = 3

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends when the worker drops the connection."""
        socket.send_frame(3)
        code, _ = await socket.closed()
        piece = client_frame(TEXT, QUESTION) * 1000
        with suppress(ConnectionError):
            while not socket.writer.transport.is_closing():
                socket.send_raw(piece)
                await socket.writer.drain()
        return code


@dataclass(frozen=True)
class Dawdler(Attack):
    """Bytes that come one by one, a `pause` after each, after a `start` sent at once."""

    times: int = 10
    start: bytes = b""
    drops: bytes = b""
    pause: float = 0.05
    upgraded: bool = True
    authenticated: bool = True

    async def prepare(self, target: Target) -> Socket:
        """Connect, and upgrade if that is part of it."""
        if not self.upgraded:
            return await target.connect()
        return await (target.open() if self.authenticated else target.open(token=None))

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the close code, or without a word."""
        socket.send_raw(self.start)
        ending = asyncio.ensure_future(self._ending(socket))
        for drop in self.drops:
            done, _ = await asyncio.wait({ending}, timeout=self.pause)
            if done:
                break
            socket.send_raw(bytes([drop]))
        return await ending

    async def _ending(self, socket: Socket) -> int:
        try:
            if self.upgraded:
                return (await socket.closed())[0]
            assert await socket.ended() == b""
        except ConnectionResetError:
            pass
        return UNANSWERED


@dataclass(frozen=True)
class Beginners(Attack):
    """Many who begin a message that claims to become as large as may be, and leave it at that."""

    times: int = 300
    within: float = 20.0

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends when the worker has read the beginning, together with a ping."""
        header = b"\x81\xff" + target.max_message.to_bytes(8, "big") + bytes(4)
        socket.send_raw(client_frame(PING, b"read it") + header + b"x")
        assert await socket.frame() == (PONG, b"read it")
        return UNANSWERED


@dataclass(frozen=True)
class StoppedPeer(Attack):
    """A process that is stopped: its kernel goes on acknowledging what it never reads."""

    times: int = 1
    on_echo: bool = False

    async def prepare(self, target: Target) -> Socket:
        """Nothing: the peer is another process."""
        return await target.connect()

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends when the worker has let it go."""
        await socket.leave()
        peer = await Bystander.start(("peer", target.process.port, target.request()))
        let_go = await target.counts(f"closed_{CloseCode.NO_PONG}_total")
        with frozen(peer.process.pid):
            await let_go()
        await peer.process.communicate()
        return CloseCode.NO_PONG


@dataclass(frozen=True)
class VanishedPeer(Attack):
    """A peer whose network is gone: nothing is acknowledged, no FIN and no RST ever comes."""

    times: int = 1
    on_echo: bool = False

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends when the worker has forgotten it."""
        let_go = await target.counts(f"closed_{CloseCode.NO_PONG}_total")
        raw = socket.writer.get_extra_info("socket")
        # The kernel drops packets with a lower TTL unseen (RFC 5082), and that is all of them.
        raw.setsockopt(sockets.IPPROTO_IP, IP_MINTTL, MAX_TTL)
        try:
            await let_go()
        finally:
            raw.setsockopt(sockets.IPPROTO_IP, IP_MINTTL, 0)
        return CloseCode.NO_PONG


@dataclass(frozen=True)
class NoFilesLeft(Attack):
    """More connections than the worker may have files."""

    times: int = 1
    files: int = 8

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the status that those are told who come too late; the first are served all along."""
        pid = target.process.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (target.process.open_files + self.files, usual[1]))
        try:
            served = [await target.open() for _ in range(self.files)]
            statuses = set()
            for _ in range(2 * self.files):
                late = await target.connect()
                await late.request(target.request())
                statuses.add(late.status)
            for early in served:
                early.send_frame(PING, b"still there")
                assert await early.frame() == (PONG, b"still there")
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        for early in served:
            await early.leave()
        await target.open()
        (status,) = statuses
        return status


@dataclass(frozen=True)
class SuddenDeath(Attack):
    """Connections that are reset in the middle of whatever they did."""

    times: int = 200

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends at once."""
        socket.send_raw(client_frame(TEXT, QUESTION)[:20])
        linger = struct.pack("ii", 1, 0)
        socket.writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
        socket.vanish()
        return UNANSWERED

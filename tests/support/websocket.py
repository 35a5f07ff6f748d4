"""A WebSocket client that does exactly what a test tells it, wrong things included."""

import asyncio
import base64
import json
import socket
from contextlib import suppress
from typing import Any, ClassVar, Self

import msgspec
from reference.frames import client_frame

from core.messages import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from ext import frames

KEY = base64.b64encode(b"sixteen byte key").decode()
PATIENCE = 10.0


def upgrade_request(
    *,
    path: str = "/ws",
    line: str = "GET {path} HTTP/1.1",
    subprotocols: str | None = JSON_SUBPROTOCOL,
    token: str | None = None,
    replace: dict[str, str | None] | None = None,
    extra: list[tuple[str, str]] | None = None,
) -> bytes:
    """The bytes of an upgrade request; `replace` changes headers or, with None, leaves them out.

    Characters above 255 cannot be sent; those below go out as one byte each.
    """
    headers: dict[str, str | None] = {
        "Host": "pulseboard.test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Protocol": subprotocols,
        "Authorization": f"Bearer {token}" if token else None,
        **(replace or {}),
    }
    lines = [line.format(path=path)]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    lines += [f"{name}: {value}" for name, value in extra or []]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Socket:
    """One TCP connection to a worker."""

    living: ClassVar[set["Socket"]] = set()

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.binary = False
        #: Bytes sent so far.
        self.sent = 0
        self.living.add(self)

    @classmethod
    async def leave_all(cls) -> None:
        """Leave whatever a test has left open."""
        for left in list(cls.living):
            await left.leave()

    @classmethod
    async def connect(cls, port: int, receive_buffer: int | None = None) -> Self:
        """A connection on which nothing was said yet; the kernel keeps `receive_buffer` bytes for it."""
        sock = socket.socket()
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            return cls(*await asyncio.open_connection(sock=sock))
        except BaseException:
            sock.close()
            raise

    @classmethod
    async def open(cls, port: int, **request: Any) -> Self:
        """A connection on which `upgrade_request(**request)` was answered."""
        opened = await cls.connect(port)
        opened.binary = request.get("subprotocols") == MSGPACK_SUBPROTOCOL
        await opened.request(upgrade_request(**request))
        return opened

    async def request(self, data: bytes) -> None:
        """Send a request and read the head of its answer, and the body of one that is no upgrade."""
        self.send_raw(data)
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            self.status = int(head[0].split()[1])
            self.headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name
            }
            if self.status != 101:
                self.body = await self.reader.read()

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sent += len(data)
        self.writer.write(data)

    def send_frame(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """Send one masked frame."""
        self.send_raw(client_frame(opcode, payload, final=final))

    def send(self, message: dict[str, Any]) -> None:
        """Send a message of the protocol."""
        if self.binary:
            self.send_frame(frames.BINARY, msgspec.msgpack.encode(message))
        else:
            self.send_frame(frames.TEXT, json.dumps(message).encode())

    async def frame(self) -> tuple[int, bytes]:
        """The next frame from the server, whole and uncompressed, as (opcode, payload)."""
        first, payload = await self.raw_frame()
        assert first & 0xF0 == 0x80
        return first & 0x0F, payload

    async def raw_frame(self) -> tuple[int, bytes]:
        """The next frame from the server, as (first byte, payload)."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80
            size = second
            if second == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif second == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return first, await self.reader.readexactly(size)

    async def receive(self, kind: str | None = None) -> dict[str, Any]:
        """The next message, pings answered on the way; with `kind`, the next of that type."""
        while True:
            opcode, payload = await self.frame()
            if opcode == frames.PING:
                self.send_frame(frames.PONG, payload)
                continue
            assert opcode == (frames.BINARY if self.binary else frames.TEXT), (opcode, payload)
            message = msgspec.msgpack.decode(payload) if self.binary else json.loads(payload)
            if kind is None or message["type"] == kind:
                return dict(message)

    async def closed(self) -> tuple[int, str]:
        """The code and reason of the close frame, whatever comes before it."""
        while True:
            opcode, payload = await self.frame()
            if opcode == frames.CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def ended(self) -> bytes:
        """What still comes until the server ends its stream."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def leave(self) -> None:
        """Close the connection without a word."""
        self.living.discard(self)
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def vanish(self) -> None:
        """Drop the connection and what was not sent yet."""
        self.writer.transport.abort()

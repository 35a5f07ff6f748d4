"""Well-behaved clients that ping their servers all along and remember how long the answers took.

Run as a program of its own, so that neither a busy test nor its garbage collector is measured. Its
argument is a JSON list of [name, port, upgrade request]; it asks the servers in turn. For every line on
its standard input it prints what it measured since the last one, as JSON: [name, when, seconds], times on
the monotonic clock. It ends with its standard input, or when a server lets it go.
"""

import asyncio
import json
import select
import socket
import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple, Self

from support.processes import python_environment

PAUSE = 0.003
PATIENCE = 60.0
PING, PONG, CLOSE = 9, 10, 8


class Sample(NamedTuple):
    """One ping: to whom, when on the monotonic clock, and the seconds until its pong."""

    name: str
    at: float
    seconds: float


class Bystander:
    """The program, from the test's side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, *servers: tuple[str, int, bytes]) -> Self:
        """Connect to every (name, port, upgrade request)."""
        argument = json.dumps([(name, port, request.decode()) for name, port, request in servers])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "support.bystander",
            argument,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=python_environment(),
            limit=1 << 26,
        )
        bystander = cls(process)
        await bystander.samples()
        return bystander

    async def samples(self) -> list[Sample]:
        """Everything measured since the last call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        assert line, "a server let the bystander go"
        return [Sample(*sample) for sample in json.loads(line)]

    async def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()


class _Client:
    def __init__(self, port: int, request: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        self._socket.sendall(request.encode())
        assert self._stream.readline().startswith(b"HTTP/1.1 101 ")
        while self._stream.readline() != b"\r\n":
            pass

    def ping(self) -> float:
        """Seconds until the pong."""
        start = time.monotonic()
        self._send(PING, b"bystander")
        while True:
            opcode, payload = self._frame()
            if opcode == PONG:
                return time.monotonic() - start
            if opcode == PING:
                self._send(PONG, payload)
            if opcode == CLOSE:
                raise ConnectionAbortedError

    def _send(self, opcode: int, payload: bytes) -> None:
        # A mask of zeros leaves the payload as it is.
        self._socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def _frame(self) -> tuple[int, bytes]:
        first, size = self._read(2)
        if size == 126:
            size = int.from_bytes(self._read(2), "big")
        return first & 15, self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise ConnectionAbortedError
        return data


def main(servers: list[Any]) -> None:
    """Ping until the standard input ends."""
    clients = [(name, _Client(port, request)) for name, port, request in servers]
    measured: list[tuple[str, float, float]] = []
    while True:
        for name, client in clients:
            measured.append((name, time.monotonic(), client.ping()))
        if select.select([sys.stdin], [], [], PAUSE)[0]:
            if not sys.stdin.readline():
                return
            print(json.dumps(measured), flush=True)
            measured.clear()


if __name__ == "__main__":
    with suppress(ConnectionError):
        main(json.loads(sys.argv[1]))

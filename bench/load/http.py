"""An HTTP client that asks for one thing over and over, on connections that stay open.

``python -m bench.load.http HOST PORT`` takes commands on its input, one JSON object a line, and answers
with one: ``{"requests": [text, …], "connections": n, "seconds": s, "pause": s}`` sends on each connection the
next request of all, waits for the answer, waits `pause`, and so on; after the last request comes the first
again. The answer tells how many, the statuses, and the times.
"""

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import Any, cast

import msgspec
import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"
# Bytes of a command.
LONGEST = 2**24


class Asking(asyncio.Protocol):
    """One connection that asks until it is told to stop."""

    def __init__(self, requests: Iterator[bytes], pause: float, tally: "Tally") -> None:
        self._requests = requests
        self._pause = pause
        self._tally = tally
        self._data = b""
        self._sent_at = 0
        self._transport: asyncio.Transport | None = None
        self.gone = asyncio.get_running_loop().create_future()

    def itself(self) -> "Asking":
        """What a transport asks for."""
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Take an answer, whole or in parts."""
        self._data += data
        end = self._data.find(HEAD_END)
        if end < 0:
            return
        length = _LENGTH.search(self._data, 0, end)
        if len(self._data) < end + len(HEAD_END) + (int(length[1]) if length else 0):
            return
        self._tally.add(int(self._data[9:12]), time.perf_counter_ns() - self._sent_at)
        self._data = b""
        if self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over; whoever stopped knows, anybody else should."""
        if not self.gone.done():
            self.gone.set_result(None)

    def _ask(self) -> None:
        assert self._transport is not None
        if self._tally.over:
            self._transport.close()
            return
        self._sent_at = time.perf_counter_ns()
        self._transport.write(next(self._requests))


class Tally:
    """What came of it."""

    def __init__(self) -> None:
        self.over = False
        self.statuses: Counter[int] = Counter()
        self.times: list[int] = []

    def add(self, status: int, nanoseconds: int) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        self.times.append(nanoseconds)

    def quantile_us(self, share: float) -> float:
        """The time below which `share` of the answers stayed, in microseconds."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000 if ordered else 0.0


async def ask(host: str, port: int, command: dict[str, Any]) -> dict[str, Any]:
    """Carry out one command."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = []
    requests = cycle([request.encode() for request in command["requests"]])
    for _ in range(command["connections"]):
        asking = Asking(requests, command["pause"], tally)
        await loop.create_connection(asking.itself, host, port)
        connections.append(asking)
    await asyncio.sleep(command["seconds"])
    tally.over = True
    seconds = time.perf_counter() - began
    done = len(tally.times)
    await asyncio.wait([each.gone for each in connections], timeout=30)
    return {
        "event": "asked",
        "done": done,
        "seconds": seconds,
        "statuses": {str(status): count for status, count in tally.statuses.items()},
        "p50_us": tally.quantile_us(0.5),
        "p99_us": tally.quantile_us(0.99),
    }


async def main(host: str, port: int) -> None:
    """Obey until the input ends."""
    reader = asyncio.StreamReader(limit=LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async for line in reader:
        answer = await ask(host, port, msgspec.json.decode(line))
        print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))

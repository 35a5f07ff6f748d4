"""A Valkey server and workers that share a port: the product without its database."""

import asyncio
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from bench import measure
from bench.nursery import Plan
from bench.program import Answer, BenchError, Program
from core.clock import SystemClock, new_id
from services.events import GLOBAL_STREAM, Envelope, Events, encode_envelope
from services.tokens import Tokens
from storage.embedded import EmbeddedValkey
from storage.redis import RedisPresence, RedisStreams, connect

SECRET = "known to everybody, good for benches only"
TOKEN_SECONDS = 86_400
# The key that all nodes of a bench claim; nobody signs with it.
NODE_KEY = bytes(range(32))
START_TIMEOUT = 120.0
STREAM_LENGTH = 10_000


class WorkerHandle:
    """One worker, by its control socket."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self._reader = reader
        self._writer = writer

    @classmethod
    async def reach(cls, pid: int, path: Path) -> "WorkerHandle":
        """Connect to a worker that is starting."""
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT
        while asyncio.get_running_loop().time() < deadline:
            try:
                return cls(pid, *await asyncio.open_unix_connection(path))
            except (FileNotFoundError, ConnectionRefusedError):
                if not measure.runs(pid):
                    break
                await asyncio.sleep(0.02)
        raise BenchError(f"worker {pid} did not start")

    async def ask(self, do: str, **arguments: Any) -> Answer:
        """Give a command (see `bench.worker`) and return its answer."""
        self._writer.write(msgspec.json.encode({"do": do, **arguments}) + b"\n")
        line = await self._reader.readline()
        if not line:
            raise BenchError(f"worker {self.pid} ended")
        answer: Answer = msgspec.json.decode(line)
        return answer

    def leave(self) -> None:
        """Let go of the control socket."""
        self._writer.close()


class Cluster:
    """Running workers on one `port`, and the events they follow."""

    def __init__(self, port: int, workers: list[WorkerHandle], streams: RedisStreams, events: Events) -> None:
        self.port = port
        self.workers = workers
        self._streams = streams
        self._events = events
        self._tokens = Tokens(SECRET, SystemClock(), TOKEN_SECONDS, TOKEN_SECONDS)
        self._offset = 0

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self.workers]

    def user_token(self, user_id: UUID | None = None) -> str:
        """A person's access token; a person of its own unless given."""
        return self._tokens.for_user(user_id or new_id(), new_id(), "user")[0]

    def node_token(self) -> str:
        """The access token of a node of its own, of an owner of its own."""
        return self._tokens.for_node(new_id(), new_id(), NODE_KEY)[0]

    async def publish(self, size: int = 64) -> None:
        """Send everybody on channel `network` an event with `size` bytes of text, by Redis."""
        self._offset += 1
        await self._events.publish("network", self._offset, {"text": "x" * size})

    async def publish_together(self, for_all: int, for_one: int, user_id: UUID) -> None:
        """Have events reach the workers at once: `for_all` on channel `network`, `for_one` on `me`."""
        entries = []
        for channel, count, user in (("network", for_all, None), ("me", for_one, user_id)):
            for _ in range(count):
                self._offset += 1
                data = {"revision": self._offset}
                entries.append((GLOBAL_STREAM, encode_envelope(Envelope(channel, self._offset, user, data))))
        await self._streams.append_many(entries, STREAM_LENGTH)

    async def total(self, metric: str) -> int:
        """The sum of a metric over all workers."""
        answers = await asyncio.gather(*(worker.ask("metrics") for worker in self.workers))
        return sum(int(answer.get(metric, 0)) for answer in answers)

    async def emptied(self, timeout: float = 60.0) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(timeout):
            while await self.total("connections_open"):  # noqa: ASYNC110 - it is other processes that count
                await asyncio.sleep(0.05)
        await measure.settled(self.pids)


@asynccontextmanager
async def start_cluster(workers: int, settings: Mapping[str, Any] | None = None) -> AsyncIterator[Cluster]:
    """A running cluster for the length of the block; `settings` are flags of `core.config.load`.

    Raises:
        BenchError: it did not start.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pulseboard-bench-")))
        valkey = EmbeddedValkey(folder / "data")
        url = await valkey.start()
        stack.push_async_callback(valkey.stop)
        # Holds the port for the workers, who share it; it never listens, so it gets no connections.
        holder = stack.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        flags: dict[str, Any] = {
            "ws.port": port,
            "redis.url": url,
            "auth.secret": SECRET,
            # Nobody answers the nodes' challenges.
            "network.challenge_interval": 3600.0,
            # The load is far above what one client may send; it is judged all the same.
            "ws.message_rate": 1_000_000,
            "ws.message_burst": 1_000_000,
            "log.level": "warning",
            **(settings or {}),
        }
        plan = folder / "plan.json"
        plan.write_bytes(msgspec.json.encode(Plan(workers, flags, str(folder))))
        nursery = await Program.start("workers", sys.executable, "-m", "bench.nursery", plan)
        stack.push_async_callback(nursery.stop, 30.0)
        pids = (await nursery.hear("forked", START_TIMEOUT))["pids"]
        handles = []
        for number, pid in enumerate(pids):
            handle = await WorkerHandle.reach(pid, folder / str(number))
            stack.callback(handle.leave)
            handles.append(handle)
        redis = await connect(url, timeout=30.0)
        stack.push_async_callback(redis.aclose)
        streams = RedisStreams(redis, "pulseboard")
        yield Cluster(
            port, handles, streams, Events(streams, RedisPresence(redis, "pulseboard"), STREAM_LENGTH)
        )

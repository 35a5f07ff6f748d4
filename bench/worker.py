"""One worker of a cluster: the product's own, over memory adapters and Redis, with a control socket.

The control socket takes one JSON object a line and answers with one:
`{"do": "metrics"}`, `{"do": "collect"}` (the garbage), `{"do": "broadcast", "size": bytes}`, which sends
one frame to everybody on channel `network` straight from the hub and tells how long that took.
"""

import asyncio
import ctypes
import gc
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from core import logs
from core.clock import SystemClock
from core.config import load
from core.engine.gateway import NETWORK
from core.engine.worker import Worker
from ext.frames import Message
from services.earnings import Earnings
from services.networks import Networks
from services.revocations import Revocations
from services.tokens import Tokens
from storage.base import Process
from storage.memory import (
    MemoryAbuse,
    MemoryDatabase,
    MemoryEpochs,
    MemoryFigures,
    MemoryLedger,
    MemoryNodes,
    MemorySessions,
    MemoryUptime,
    MemoryUsers,
)
from storage.redis import RedisPresence, RedisStreams, connect

PR_SET_PDEATHSIG = 1
LEASE_MS = 86_400_000
NEVER_COMPRESS = 1 << 30


def serve(flags: dict[str, Any], name: str, control: Path, parent: int) -> None:
    """Run a worker until SIGTERM, or until `parent` is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    raise_open_files()
    logs.configure("warning", "text", process=name)
    try:
        uvloop.run(_serve(flags, name, control))
    except Exception:
        traceback.print_exc(file=sys.stderr)
        raise


def raise_open_files() -> None:
    """Let this process open as many files as it may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(flags: dict[str, Any], name: str, control: Path) -> None:
    config = load(environ={}, flags=flags)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    clock = SystemClock()
    database = MemoryDatabase()
    uptime = MemoryUptime(database)
    tokens = Tokens(config.auth.secret, clock, config.auth.access_ttl, config.auth.enrol_ttl)
    redis = await connect(config.redis.url, config.redis.timeout)
    presence = RedisPresence(redis, config.redis.prefix)
    worker = Worker(
        config,
        tokens=tokens,
        revocations=Revocations(
            MemorySessions(database), MemoryNodes(database), clock, config.auth.access_ttl
        ),
        earnings=Earnings(
            figures=MemoryFigures(database),
            ledger=MemoryLedger(database),
            epochs=MemoryEpochs(database),
            users=MemoryUsers(database),
            clock=clock,
            settling=0,
        ),
        networks=Networks(MemoryNodes(database), uptime, MemoryAbuse(database), tokens, clock),
        streams=RedisStreams(redis, config.redis.prefix),
        presence=presence,
        clock=clock,
        worker_id=name,
    )
    await presence.renew(Process(kind="worker", process_id=name, admin_url="", metrics={}), LEASE_MS)
    await worker.start()
    server = await asyncio.start_unix_server(Control(worker).serve, control)
    await stop.wait()
    server.close()
    await worker.stop()
    await redis.aclose()


class Control:
    """Answers the driver."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        async for line in reader:
            writer.write(msgspec.json.encode(self._obey(msgspec.json.decode(line))) + b"\n")
            await writer.drain()
        writer.close()

    def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "collect":
                return {"freed": gc.collect()}
            case "broadcast":
                return self._broadcast(command["size"])
            case _:
                return {"pid": os.getpid(), "port": self._worker.port, **self._worker.metrics()}

    def _broadcast(self, size: int) -> dict[str, Any]:
        payload = b"x" * size
        message = Message(payload, bytes, bytes, NEVER_COMPRESS)
        # The hub is the worker's own affair; nothing else of it is reached into.
        hub = self._worker._gateway.hub
        began = time.monotonic_ns()
        reached = hub.broadcast([(NETWORK, message)])
        return {"at_ns": began, "ns": time.monotonic_ns() - began, "reached": reached}

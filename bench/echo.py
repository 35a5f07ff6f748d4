"""The engine's raw echo mode as a server to compare: says where it listens, ends with its input."""

import asyncio
import sys

import msgspec
import uvloop

from bench.worker import raise_open_files
from core import logs
from core.config import load
from core.engine.echo import EchoServer


async def serve() -> None:
    """Serve until the input ends."""
    raise_open_files()
    logs.configure("warning", "text", process="echo")
    server = EchoServer(load(environ={}, flags={"ws.port": 0}))
    server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)
    sys.stdout.buffer.write(msgspec.json.encode({"event": "listening", "port": server.port}) + b"\n")
    sys.stdout.flush()
    await ended.wait()
    server.stop()


if __name__ == "__main__":
    uvloop.run(serve())

"""What every peer server has in common: it says where it listens, and obeys lines on its input.

`broadcast SIZE` sends one message of SIZE bytes to everybody and tells how long that took. It ends with its
input. Peers run in an environment of their own, hence no import of anything of this project.
"""

import asyncio
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from typing import Any


def listener() -> socket.socket:
    """A socket bound to a free loopback port, for the server to listen on."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    bound = socket.socket()
    bound.setblocking(False)
    bound.bind(("127.0.0.1", 0))
    return bound


def say(event: str, **facts: Any) -> None:
    """Print one line."""
    print(json.dumps({"event": event, **facts}), flush=True)


def attach(loop: asyncio.AbstractEventLoop, port: int, broadcast: Callable[[bytes], int]) -> None:
    """Listen for commands on `loop`; `broadcast` sends a message and returns to how many."""

    def obey() -> None:
        line = os.read(0, 4096).decode()
        if not line:
            os._exit(0)
        payload = b"x" * int(line.split()[1])
        began = time.monotonic_ns()
        reached = broadcast(payload)
        say("broadcast", at_ns=began, ns=time.monotonic_ns() - began, reached=reached)

    loop.add_reader(0, obey)
    versions = sys.version_info
    say("listening", port=port, python=f"{versions.major}.{versions.minor}.{versions.micro}")

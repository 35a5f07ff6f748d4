"""The servers that ours is compared with: each its own process, in an environment of its own.

Packages come from the dependency group `bench`; a peer that cannot be had on this machine is
reported, never left out in silence.
"""

import hashlib
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import build
from bench.program import Answer, Program

HERE = Path(__file__).parent
PEERS = HERE / "peers"
ENVIRONMENT = build.CACHE / "venv"
GROUP = HERE.parent / "pyproject.toml"
INSTALL_TIMEOUT = 900

# Not others', but started and driven in the same way: the engine's raw echo mode.
ENGINE = "engine"
C = "C epoll"
PICOWS = "picows"
# Name, module to import as a trial, distribution.
PACKAGES = {
    "websockets": ("websockets", "websockets"),
    "aiohttp": ("aiohttp", "aiohttp"),
    "µWebSockets": ("socketify", "socketify"),
}
SCRIPTS = {
    "websockets": "websockets_server.py",
    "aiohttp": "aiohttp_server.py",
    "µWebSockets": "socketify_server.py",
}


class Availability(Struct, frozen=True):
    """Which peers there are, with their versions, and why the others are not."""

    versions: dict[str, str]
    missing: dict[str, str]


class Peer:
    """A running server of others."""

    def __init__(self, name: str, program: Program, port: int) -> None:
        self.name = name
        self.port = port
        self._program = program

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._program.pid

    async def broadcast(self, size: int) -> Answer:
        """Send a message of `size` bytes to everybody; `ns` is how long it was at it."""
        return await self._program.ask(f"broadcast {size}", "broadcast")


@asynccontextmanager
async def start_peer(name: str) -> AsyncIterator[Peer]:
    """A peer for the length of the block."""
    program = await Program.start(name, *_command(name), env=_environ())
    try:
        yield Peer(name, program, (await program.hear("listening", 30))["port"])
    finally:
        await program.stop()


def _command(name: str) -> list[str | Path]:
    if name == ENGINE:
        return [sys.executable, "-m", "bench.echo"]
    if name == C:
        return [build.c_program("peers/epoll_server.c")]
    if name == PICOWS:
        folder = build.cython_module("peers/picows_server.pyx")
        path = f"sys.path[:0] = [{str(folder)!r}, {str(PEERS)!r}]"
        return [sys.executable, "-c", f"import sys; {path}; import picows_server; picows_server.main()"]
    return [ENVIRONMENT / "bin" / "python", PEERS / SCRIPTS[name]]


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def prepare(*, install: bool) -> Availability:
    """See which peers can be had; with `install`, install what is missing.

    The packages have an environment of their own, so that they do not meet the product's.
    """
    from importlib.metadata import version  # noqa: PLC0415 - slow, and needed only here

    versions = {C: "", PICOWS: version("picows")}
    missing: dict[str, str] = {}
    reason = make_environment() if install else ""
    for name, (module, distribution) in PACKAGES.items():
        code = f"import {module}, importlib.metadata as m; print(m.version({distribution!r}))"
        python = ENVIRONMENT / "bin" / "python"
        if not python.exists():
            missing[name] = reason or "not installed"
            continue
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            missing[name] = (done.stderr.strip().splitlines() or ["does not import"])[-1]
        else:
            number = done.stdout.strip()
            versions[name] = number if name == distribution else f"({distribution} {number})"
    return Availability(versions, missing)


def make_environment() -> str:
    """Install the dependency group `bench`, once; returns why that failed, if it did."""
    stamp = ENVIRONMENT / "stamp"
    want = hashlib.sha256(msgspec.json.encode(_requirements()) + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return ""
    print("Installing the benches' packages into build/bench/venv", file=sys.stderr)
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    line = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", *_requirements()]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"pip took more than {INSTALL_TIMEOUT} s"
    if done.returncode:
        lines: list[str] = done.stderr.strip().splitlines()
        return lines[-1] if lines else "pip failed"
    stamp.write_text(want)
    return ""


def _requirements() -> list[str]:
    document = tomllib.loads(GROUP.read_text("utf-8"))
    group: list[str] = document["dependency-groups"]["bench"]
    return group

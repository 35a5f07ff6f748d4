"""Worker processes that are attacked, and what they cost."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx
from support.system import Command

from core.clock import SystemClock, new_id
from services.tokens import Tokens

SECRET = "a secret of at least thirty-two characters"
TOKEN_TTL = 3600


def _tokens(ttl: int) -> Tokens:
    return Tokens(SECRET, SystemClock(), ttl, ttl)


def person_token(ttl: int = TOKEN_TTL, user_id: UUID | None = None) -> str:
    """An access token that workers with our secret believe for `ttl` seconds; somebody new's by default."""
    return _tokens(ttl).for_user(user_id or new_id(), new_id(), "user")[0]


def node_token(node_id: UUID, public_key: bytes) -> str:
    """An access token of a node of somebody's."""
    return _tokens(TOKEN_TTL).for_node(node_id, new_id(), public_key)[0]


class WorkerProcess:
    """`pulseboard worker` on a free port, in a process of its own."""

    def __init__(self, command: Command, port: int, admin_url: str, *, echo: bool) -> None:
        self.command = command
        self.port = port
        self.echo = echo
        self._admin = httpx.AsyncClient(base_url=admin_url, timeout=10, trust_env=False)

    @classmethod
    async def start(cls, environ: Mapping[str, str], *, echo: bool = False) -> Self:
        """Start one and wait until it is ready; `environ` holds its settings."""
        mode = ["--echo"] if echo else []
        command = await Command.start(
            "worker",
            *mode,
            "--port",
            "0",
            "--admin-port",
            "0",
            environ={"PULSEBOARD_AUTH_SECRET": SECRET, **environ},
        )
        try:
            port = await command.printed(r'"port": ?(\d+), ?"event": ?"listening"')
            admin = await command.printed(r'"url": ?"([^"]+)", ?"event": ?"admin port"')
            await command.printed(r'"event": ?"ready"')
        except BaseException:
            await command.stop()
            raise
        return cls(command, int(port[1]), admin[1], echo=echo)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.command.process.pid

    @property
    def lines(self) -> int:
        """How many lines it has logged."""
        return len(self.command.lines)

    @property
    def open_files(self) -> int:
        """How many descriptors it has."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    async def metrics(self) -> dict[str, Any]:
        """What it counts."""
        return dict((await self._admin.get("/metrics.json")).raise_for_status().json())

    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        return _kibibytes(self.pid, "smaps_rollup", "Rss") * 1024

    def forget_peak(self) -> None:
        """Let `peak` begin anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Most bytes of memory that it held at any time since `forget_peak`."""
        return _kibibytes(self.pid, "status", "VmHWM") * 1024

    async def stop(self) -> int:
        """End it; returns the exit code."""
        await self._admin.aclose()
        return await self.command.stop()


def _kibibytes(pid: int, file: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    assert found, f"/proc/{pid}/{file} has no {field}"
    return int(found[1])

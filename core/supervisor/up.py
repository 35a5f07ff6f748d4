"""Bringing the whole system up on one machine, keeping it up, and taking it down in order."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from core import logs
from core.backoff import Backoff
from core.bootstrap import ensure_user, migrate
from core.config import ENV_PREFIX, Config, settings
from core.errors import ConfigError, StartupError
from core.logs import get_logger
from core.supervisor.children import RESTART_BASE, RESTART_CAP, WATCHDOG, Child, Spec, keep_one_old
from core.supervisor.folder import DataFolder, Secrets
from core.supervisor.messages import Mailbox
from core.supervisor.ports import claim_port
from core.tasks import end
from core.version import version
from storage.embedded import EmbeddedPostgres, EmbeddedValkey

DEMO_EMAIL = "demo@pulseboard.example"
READY_TIMEOUT = 60.0
LOOK_INTERVAL = 2.0
# Seconds beyond its own time-outs that a child's end may take.
MARGIN = 5.0

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - names them, binds nothing
_log = get_logger("supervisor")


class Server(Protocol):
    """An embedded server."""

    async def start(self) -> str:
        """Start it; returns its address."""
        ...

    async def stop(self) -> None:
        """End it, if it runs."""
        ...

    async def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        ...


class Supervisor:
    """Runs servers, workers, API, jobs and `demo` agents until a signal ends it.

    `say` takes the sentences that the person at the terminal should read. Run it in the main thread.
    """

    def __init__(self, config: Config, *, demo: int, say: Callable[[str], None]) -> None:
        self._config = config
        self._demo = demo
        self._say = say
        self._stop = asyncio.Event()
        self._servers: dict[str, Server] = {}
        self._groups: list[list[Child]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._environ: dict[str, str] = {}
        self._mailbox = Mailbox(self._hear)

    async def run(self) -> None:
        """Bring everything up, keep it up, and take it down when asked to.

        Raises:
            ConfigError: what is asked for does not go together.
            StartupError: the folder, a port, a server or a process refuses; nothing is left running.
        """
        try:
            with DataFolder(self._config.data_dir) as folder, self._own_log(folder), self._signals():
                live = asyncio.create_task(self._live(folder))
                asked = asyncio.create_task(self._stop.wait())
                await asyncio.wait({live, asked}, return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
                live.cancel()
                await asyncio.wait({live})
                if not live.cancelled():
                    live.result()
        finally:
            self._mailbox.close()

    # --- up -----------------------------------------------------------------------------------------

    async def _live(self, folder: DataFolder) -> None:
        try:
            config, secrets = self._settle(folder)
            config = await self._start_servers(config)
            demo_user = await self._prepare_database(config, secrets)
            self._environ = _environ(config, self._mailbox.address)
            url = f"http://{_reachable(config.http.host)}:{config.http.port}"
            await self._start_children(config, folder)
            self._introduce(config, folder, url, secrets if demo_user else None)
            if self._demo:
                self._start_agents(folder, url, secrets)
            await self._watch()
        finally:
            await self._take_down()

    def _settle(self, folder: DataFolder) -> tuple[Config, Secrets]:
        """Fill in what the configuration leaves open, and refuse what cannot work, before anything runs."""
        config = self._config
        if self._demo and config.database.dsn:
            raise ConfigError("--demo: works with the embedded database only, but database.dsn is set")
        http_port = claim_port(config.http.host, config.http.port, "set HTTP_PORT=… (--http-port)")
        ws_port = claim_port(config.ws.host, config.ws.port, "set WS_PORT=… (--ws-port)")
        secrets = folder.secrets()
        replace = msgspec.structs.replace
        auth = config.auth
        if not auth.secret and not auth.secret_file:
            auth = replace(auth, secret=secrets.auth_secret)
        elif auth.secret_file:
            # Children run elsewhere.
            auth = replace(auth, secret_file=_absolute(auth.secret_file))
        auth = replace(auth, former_secret_files=[_absolute(path) for path in auth.former_secret_files])
        settled = replace(
            config,
            data=str(folder.path),
            http=replace(config.http, port=http_port),
            ws=replace(config.ws, port=ws_port),
            auth=auth,
            # One port cannot serve several processes of a machine.
            admin=replace(config.admin, port=0),
        )
        return settled, secrets

    async def _start_servers(self, config: Config) -> Config:
        replace = msgspec.structs.replace
        if not config.database.dsn:
            self._servers["PostgreSQL"] = EmbeddedPostgres(config.data_dir)
        if not config.redis.url:
            self._servers["Valkey"] = EmbeddedValkey(config.data_dir)
        if self._servers:
            self._say(f"Starting {' and '.join(self._servers)} …")
        async with asyncio.TaskGroup() as tasks:
            starting = {name: tasks.create_task(server.start()) for name, server in self._servers.items()}
        for name, server in self._servers.items():
            self._run_beside(self._mind_server(name, server, starting[name].result()))
        if "PostgreSQL" in starting:
            config = replace(config, database=replace(config.database, dsn=starting["PostgreSQL"].result()))
        if "Valkey" in starting:
            config = replace(config, redis=replace(config.redis, url=starting["Valkey"].result()))
        return config

    async def _prepare_database(self, config: Config, secrets: Secrets) -> bool:
        """Migrate, and see to the demo account; returns whether there is one."""
        await migrate(config)
        if "PostgreSQL" not in self._servers:
            return False
        await ensure_user(config, DEMO_EMAIL, secrets.demo_password, "Demo")
        return True

    async def _start_children(self, config: Config, folder: DataFolder) -> None:
        self._say("Starting the processes …")
        drain = config.ws.drain_timeout + config.ws.close_timeout + MARGIN
        workers = [
            Spec(name=f"worker-{number}", arguments=("worker",), patience=drain)
            for number in range(1, config.ws.workers + 1)
        ]
        # Stopped in this order: what was observed last is still taken in.
        groups = [
            workers,
            [Spec(name="api", arguments=("api",), patience=10.0 + MARGIN)],
            [Spec(name="jobs", arguments=("jobs",), patience=10.0 + MARGIN)],
        ]
        for specs in groups:
            self._start_group(specs, folder)
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                await self._or_failure(self._all_ready())
        except TimeoutError as error:
            late = next(child for child in self._children() if not child.ready.is_set())
            raise StartupError(
                f"{late.spec.name} was not ready after {READY_TIMEOUT:.0f} s: "
                f"{late.last_words()} (log: {late.log})"
            ) from error

    async def _all_ready(self) -> None:
        for child in self._children():
            await child.ready.wait()

    def _start_agents(self, folder: DataFolder, url: str, secrets: Secrets) -> None:
        arguments = ("agent", "--server", url, "--email", DEMO_EMAIL, "--name", "demo")
        spec = Spec(
            name="agents",
            arguments=(*arguments, "--count", str(self._demo)),
            patience=MARGIN,
            essential=False,
            environ={"PULSEBOARD_PASSWORD": secrets.demo_password},
        )
        self._start_group([spec], folder, first=True)

    def _start_group(self, specs: list[Spec], folder: DataFolder, *, first: bool = False) -> None:
        children = [Child(spec, self._environ, folder.logs, self._report) for spec in specs]
        self._groups.insert(0 if first else len(self._groups), children)
        for child in children:
            self._run_beside(child.run())

    def _introduce(self, config: Config, folder: DataFolder, url: str, secrets: Secrets | None) -> None:
        lines = [
            f"Pulseboard {version()} is running.",
            f"  open     {config.http.public_url or url}",
        ]
        if secrets is not None:
            lines.append(f"  sign in  {DEMO_EMAIL}  password {secrets.demo_password}")
        if self._demo:
            lines.append(f"  nodes    {self._demo} demo agents are on their way")
        if not config.mail.smtp_host:
            lines.append(f"  mail     {config.mail_dir}  (no SMTP server is set)")
        lines += [f"  data     {folder.path}", f"  logs     {folder.logs}", "Ctrl-C stops it."]
        self._say("\n".join(lines))

    # --- while it runs ------------------------------------------------------------------------------

    async def _watch(self) -> None:
        async def look() -> None:
            while True:
                await asyncio.sleep(LOOK_INTERVAL)
                for child in self._children():
                    child.look_after()

        await self._or_failure(look())

    async def _mind_server(self, name: str, server: Server, url: str) -> None:
        """Start a server again that ended by itself."""
        backoff = Backoff(RESTART_BASE, RESTART_CAP)
        while True:
            code = await server.wait()
            delay = backoff.next()
            self._report(f"{name} ended (exit code {code}): starting again in {delay:.1f} s")
            await asyncio.sleep(delay)
            try:
                await server.stop()
                again = await server.start()
            except StartupError as error:
                self._report(f"{name}: {error}")
                continue
            if again != url:
                self._moved(url, again)
                url = again

    def _moved(self, old: str, new: str) -> None:
        """A server has another address now: children learn it by starting again."""
        for name, value in self._environ.items():
            if value == old:
                self._environ[name] = new
        for child in self._children():
            child.signal(signal.SIGTERM)

    def _hear(self, pid: int, line: str) -> None:
        for child in self._children():
            if child.pid == pid:
                child.hear(line)

    def _children(self) -> list[Child]:
        return [child for group in self._groups for child in group]

    def _report(self, sentence: str) -> None:
        _log.warning(sentence)
        self._say(sentence)

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _or_failure(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for `work`, or for the failure of anything that runs beside it."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
            for done in [beside for beside in self._tasks if beside.done()]:
                done.result()
        finally:
            task.cancel()

    # --- down ---------------------------------------------------------------------------------------

    async def _take_down(self) -> None:
        if not self._servers and not self._groups:
            return
        self._say("Stopping …")
        for group in self._groups:
            await asyncio.gather(*(child.stop() for child in group))
        await end(self._tasks)
        for server in reversed(self._servers.values()):
            await server.stop()
        self._say("Stopped.")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def asked() -> None:
            if self._stop.is_set():
                for child in self._children():
                    child.signal(signal.SIGKILL)
            self._stop.set()

        # A terminal that is closed sends SIGHUP: nobody is there any more to press Ctrl-C.
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, asked)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    @contextmanager
    def _own_log(self, folder: DataFolder) -> Iterator[None]:
        path = folder.logs / "supervisor.log"
        keep_one_old(path, limit=0)
        with path.open("a", encoding="utf-8") as stream:
            path.chmod(0o600)
            logs.configure(self._config.log.level, self._config.log.format, stream, process="supervisor")
            yield
            logs.configure(self._config.log.level, self._config.log.format)


def _environ(config: Config, mailbox: str) -> dict[str, str]:
    """The environment of children: ours, with the whole configuration in place of what we were given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    values: dict[str, str] = {}
    for setting in settings():
        value = getattr(getattr(config, setting.section) if setting.section else config, setting.key)
        values[setting.env] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    manager = {"NOTIFY_SOCKET": mailbox, "WATCHDOG_USEC": str(round(WATCHDOG / 2 * 1e6))}
    kept.pop("WATCHDOG_PID", None)
    return {**kept, **values, **manager}


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _reachable(host: str) -> str:
    """`host` as a local client writes it."""
    name = _LOOPBACK.get(host, host)
    return f"[{name}]" if ":" in name else name

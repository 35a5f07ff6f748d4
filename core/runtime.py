"""What every long-running process has: an id, signals, a lease, an admin port, a service manager."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from core import logs
from core.admin import AdminServer
from core.config import Config
from core.errors import ConfigError, StorageUnavailable
from core.metrics import Metrics, Source
from core.notify import Notifier
from storage.base import Presence, Process

Reload = Callable[[], Config]


class Runtime:
    """One process of the system, from its start to its end.

    `kind` is worker, api or jobs; `process_id` differs with every start. `reload` reads the
    configuration again when SIGHUP asks for it. The first SIGTERM or SIGINT sets `stop`; a second
    one cancels what still hinders the end.
    """

    def __init__(self, kind: str, config: Config, reload: Reload | None = None) -> None:
        self.kind = kind
        self.process_id = f"{kind}-{secrets.token_hex(6)}"
        self.stop = asyncio.Event()
        self._config = config
        self._reload = reload
        self._notifier = Notifier()
        self._process: Process | None = None
        self._source: Source = dict
        self._started = asyncio.get_running_loop().time()
        #: Whether the presence store knows of this process.
        self.announced = False
        logs.configure(config.log.level, config.log.format, process=self.process_id)
        self._log = logs.get_logger(kind)

    @asynccontextmanager
    async def signals(self) -> AsyncIterator[None]:
        """Handle SIGTERM, SIGINT and SIGHUP within the block."""
        loop = asyncio.get_running_loop()
        main = asyncio.current_task()

        def asked_to_stop() -> None:
            if self.stop.is_set() and main is not None:
                self._log.warning("stopping at once")
                main.cancel()
            else:
                # First: whatever fails after it, the process ends.
                self.stop.set()
                self._log.info("stopping")
                self._notifier.stopping()

        handlers = {
            signal.SIGTERM: asked_to_stop,
            signal.SIGINT: asked_to_stop,
            signal.SIGHUP: self._read_again,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    @asynccontextmanager
    async def admin(self, ready: Callable[[], list[str]]) -> AsyncIterator[str]:
        """The admin port within the block; yields its address. `ready` says what is amiss."""

        def readiness() -> tuple[bool, list[str]]:
            reasons = [*(["stopping"] if self.stop.is_set() else []), *ready()]
            return not reasons, reasons

        server = AdminServer(self._config.admin.host, self._config.admin.port, self.metrics, readiness)
        await server.start()
        self._log.info("admin port", url=server.url)
        try:
            yield server.url
        finally:
            await server.stop()

    def measure(self, source: Source) -> None:
        """Take `source` as what this process counts."""
        self._source = source

    def metrics(self) -> Metrics:
        """Everything this process counts."""
        loop = asyncio.get_running_loop()
        uptime = round(loop.time() - self._started, 1)
        return {"pid": str(os.getpid()), "uptime_seconds": uptime, **self._source()}

    @asynccontextmanager
    async def lease(self, presence: Presence, admin_url: str) -> AsyncIterator[None]:
        """Be known to the others within the block, with fresh metrics, and say goodbye after it."""
        self._process = Process(
            kind=self.kind, process_id=self.process_id, admin_url=admin_url, metrics=self.metrics()
        )
        await self._renew(presence, self._process)
        async with _beside(self._keep_renewing(presence, self._process)):
            yield
        with contextlib.suppress(StorageUnavailable):
            await presence.leave(self.kind, self.process_id)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Tell the service manager that the process is ready, and within the block that it lives."""
        async with _beside(self._notifier.keep_alive()):
            self._notifier.ready()
            self._log.info("ready", pid=os.getpid())
            yield

    async def until_stopped(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work`, which returns never, until `stop` is set; then cancel it.

        Raises whatever `work` raises.
        """
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            task.cancel()
            # Its failure is raised here, its cancellation is not.
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def _keep_renewing(self, presence: Presence, process: Process) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._config.admin.lease / 3))
            process.metrics.clear()
            process.metrics.update(self.metrics())
            try:
                await self._renew(presence, process)
            except StorageUnavailable as error:
                if self.announced:
                    self._log.warning("lease not renewed", reason=str(error))
                self.announced = False

    async def _renew(self, presence: Presence, process: Process) -> None:
        await presence.renew(process, round(self._config.admin.lease * 1000))
        self.announced = True

    def _read_again(self) -> None:
        if self._reload is None:
            return
        try:
            level = self._reload().log.level
        except ConfigError as error:
            self._log.error("configuration not read again", reason=str(error))
            return
        logs.configure(level, self._config.log.format, process=self.process_id)
        self._log.info("configuration read again", log_level=level)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` for the length of the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})

"""The processes that the supervisor starts, watches and starts again."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

import core
from core.backoff import Backoff
from core.errors import StartupError
from core.logs import get_logger

RESTART_BASE = 0.5
RESTART_CAP = 30.0
# A child that was ready for this long has proved that it can run.
STABLE_AFTER = 60.0
# Seconds without a sign of life after which a child is stuck and killed.
WATCHDOG = 20.0
LOG_LIMIT = 16 * 1024 * 1024
LAST_LINES = 8

_ROOT = Path(next(iter(core.__path__))).parent


class Spec(Struct, frozen=True, kw_only=True):
    """What to run: `pulseboard <arguments>`, with `environ` on top of the common environment.

    `patience` is how many seconds its end may take. Without an `essential` child the system does
    not come up; others are tried again and again.
    """

    name: str
    arguments: tuple[str, ...]
    patience: float
    essential: bool = True
    environ: dict[str, str] = {}


class Child:
    """One process of the system, started again whenever it ends by itself.

    `announce` is told, in a sentence, what happened to it. Make and start it in the main thread: the
    kernel ties its life to the thread that made it.
    """

    def __init__(
        self, spec: Spec, environ: Mapping[str, str], logs: Path, announce: Callable[[str], None]
    ) -> None:
        self.spec = spec
        self.environ = environ
        self.log = logs / f"{spec.name}.log"
        self.restarts = 0
        self.ready = asyncio.Event()
        self._announce = announce
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._stop_asked = asyncio.Event()
        self._was_ready = False
        self._seen_at = 0.0
        self._ready_at = 0.0
        self._backoff = Backoff(RESTART_BASE, RESTART_CAP)

    @property
    def pid(self) -> int:
        """The process id; 0 if it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    async def run(self) -> None:
        """Keep the process running until `stop`.

        Raises:
            StartupError: it ended before it was ever ready.
        """
        keep_one_old(self.log, limit=0)
        while not self._stop_asked.is_set():
            code = await self._run_once()
            if self._stop_asked.is_set():
                return
            if self.spec.essential and not self._was_ready:
                raise StartupError(f"{self.spec.name} did not start: {self.last_words()} (log: {self.log})")
            delay = self._backoff.next()
            self.restarts += 1
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._announce(f"{self.spec.name} ended ({how}): starting again in {delay:.1f} s, see {self.log}")
            await asyncio.sleep(delay)

    def hear(self, line: str) -> None:
        """Take what the process told by its notification socket."""
        now = asyncio.get_running_loop().time()
        self._seen_at = now
        if line == "READY=1":
            self._ready_at = now
            self._was_ready = True
            self.ready.set()
        elif line == "STOPPING=1":
            self.ready.clear()

    def look_after(self) -> None:
        """Kill the process if it is stuck, and keep its log within bounds; call it every few seconds."""
        now = asyncio.get_running_loop().time()
        if self.ready.is_set() and now - self._seen_at > WATCHDOG:
            self._announce(f"{self.spec.name} gave no sign of life for {WATCHDOG:.0f} s: killed")
            self.signal(signal.SIGKILL)
        if self.ready.is_set() and now - self._ready_at > STABLE_AFTER:
            self._backoff.reset()
        keep_one_old(self.log, limit=LOG_LIMIT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.pid and self._process is not None:
            self._process.send_signal(number)

    async def stop(self) -> None:
        """Let it drain, kill it when that takes longer than `Spec.patience`, and keep it down."""
        self._stop_asked.set()
        if self._ended is None or not self.pid:
            return
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.patience):
                await asyncio.shield(self._ended)
        except TimeoutError:
            _log.warning("killed: it did not end in time", child=self.spec.name)
            self.signal(signal.SIGKILL)
            await self._ended

    def last_words(self) -> str:
        """The last lines of its log, in one line."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return "it said nothing"
        # Its own error is more use than the lines around it.
        errors = [line for line in lines if line.startswith("pulseboard: error: ")]
        if errors:
            return errors[-1].removeprefix("pulseboard: error: ")
        return " | ".join(lines[-LAST_LINES:]) or "it said nothing"

    async def _run_once(self) -> int:
        self._start()
        process, ended = self._process, self._ended
        if process is None or ended is None:
            raise RuntimeError("not started")
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            process.kill()
            await ended
            raise
        finally:
            self.ready.clear()
        return process.wait()

    def _start(self) -> None:
        # Not our own folder, where another `core` may lie: the one this code comes from.
        command = [sys.executable, "-m", "core.cli", *self.spec.arguments, "--parent", str(os.getpid())]
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                command,
                cwd=_ROOT,
                env={**self.environ, **self.spec.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the supervisor, which knows the order.
                start_new_session=True,
            )
        except OSError as error:
            raise StartupError(f"{self.spec.name} cannot be started: {error.strerror}") from error
        finally:
            os.close(output)
        self._ended = _end_of(self._process)


def keep_one_old(log: Path, *, limit: int) -> None:
    """Move what `log` holds to ``<name>.log.1`` once it has more than `limit` bytes.

    The writer keeps its open file, which begins anew.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > limit:
            old = log.with_suffix(".log.1")
            shutil.copyfile(log, old)
            old.chmod(0o600)
            os.truncate(log, 0)


def _end_of(process: subprocess.Popen[bytes]) -> asyncio.Future[None]:
    """Done when the process has ended."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    handle = os.pidfd_open(process.pid)

    def over() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        process.wait()
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(handle, over)
    return ended


_log = get_logger("supervisor")

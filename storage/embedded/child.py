"""A server as a child process, and what an earlier process left running."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import monotonic

from core.errors import StartupError
from storage.embedded.account import Account, runs
from storage.embedded.folder import file_errors

_POLL_SECONDS = 0.02


class Child:
    """A running program whose output goes to the file `log`.

    It gets `death_signal` when the *thread* that made it ends, hence make it in the main thread;
    Ctrl-C in the terminal does not reach it.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        account: Account | None = None,
        death_signal: signal.Signals,
        environment: Mapping[str, str],
    ) -> None:
        account = account or Account()
        with file_errors(log):
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._log = log
            self._log_start = os.fstat(output).st_size
            self._process = subprocess.Popen(  # noqa: S603  # our own programs only
                (*account.prefix, *_death_prefix(death_signal), *command),
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                umask=0o077,
                start_new_session=True,
            )
        except OSError as error:
            raise StartupError(f"{command[0]}: cannot be started: {error.strerror}") from error
        finally:
            os.close(output)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        if self.returncode is None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            handle = os.pidfd_open(self.pid)
            loop.add_reader(handle, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(handle)
                os.close(handle)
        return self._process.wait()

    async def stop(self, number: signal.Signals, timeout: float) -> None:
        """Send a signal and wait for the end; after `timeout` seconds kill it."""
        if self.returncode is not None:
            return
        self._process.send_signal(number)
        try:
            async with asyncio.timeout(timeout):
                await self.wait()
        except TimeoutError:
            self._process.kill()
            await self.wait()

    def said(self, lines: int = 10) -> str:
        """The last lines that this process wrote."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


async def run(
    command: Sequence[str],
    log: Path,
    *,
    account: Account,
    environment: Mapping[str, str],
    timeout: float,
) -> None:
    """Run a program to its end.

    Raises:
        StartupError: it fails or takes longer than `timeout` seconds; with its last lines.
    """
    child = Child(command, log, account=account, death_signal=signal.SIGKILL, environment=environment)
    name = Path(command[0]).name
    try:
        async with asyncio.timeout(timeout):
            code = await child.wait()
    except TimeoutError as error:
        raise StartupError(f"{name} did not end within {timeout:g} s:\n{child.said()}") from error
    finally:
        await child.stop(signal.SIGKILL, timeout)
    if code:
        raise StartupError(f"{name} failed:\n{child.said()}")


async def stop_leftovers(folder: Path, main: str, number: signal.Signals, timeout: float) -> None:
    """End what an earlier process left running on `folder`.

    The process with the id `main`, if it is one of them, gets the signal `number`; it and its
    children that do not end within `timeout` seconds are killed.

    Raises:
        StartupError: naming the processes that cannot be ended.
    """
    left = working_in(folder)
    if not left:
        return
    if main.isdigit() and int(main) in left:
        _send(int(main), number)
    if await _ended(folder, timeout):
        return
    for pid in working_in(folder):
        _send(pid, signal.SIGKILL)
    if not await _ended(folder, timeout):
        pids = ", ".join(map(str, working_in(folder)))
        raise StartupError(f"{folder}: is still used by the processes with pid {pids}")


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def _ended(folder: Path, timeout: float) -> bool:
    deadline = monotonic() + timeout
    while left := working_in(folder):
        if monotonic() > deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    return not left


def working_in(folder: Path) -> list[int]:
    """The ids of our processes whose working directory is `folder`, as it is of both servers."""
    target = folder.resolve()
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if Path(entry.path, "cwd").readlink() == target:
                    found.append(int(entry.name))
            except OSError:
                # Ended meanwhile, or somebody else's.
                continue
    return found


@cache
def _death_prefix(number: signal.Signals) -> tuple[str, ...]:
    """A command that makes the kernel send the signal when we end without a word, where there is one.

    Where not, the next start finds the server and ends it.
    """
    setpriv, true = shutil.which("setpriv"), shutil.which("true")
    if setpriv is None or true is None:
        return ()
    prefix = (setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--")
    return prefix if runs((*prefix, true)) else ()

"""Runs the real `pulseboard up` and knows every process that belongs to it."""

import contextlib
import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core import cli

ROOT = Path(cli.__file__).parent.parent
START_TIMEOUT = 60.0


class Up:
    """One `pulseboard up`, on the data folder `data`."""

    def __init__(self, data, *arguments, **variables):
        self.data = data
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PULSEBOARD_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "core.cli", "up", "--http-port", "0", "--ws-port", "0", *arguments],
            cwd=ROOT,
            env={**kept, "PULSEBOARD_DATA": str(data), "PYTHONUNBUFFERED": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output = ""
        self.begun = time.monotonic()
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def _follow(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def read_until(self, pattern, timeout=START_TIMEOUT):
        """Read what it prints until a line matches; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {pattern!r} within {timeout} s in:\n{self.output}")
            if not line:
                pytest.fail(f"ended before {pattern!r}:\n{self.output}{self.process.stderr.read()}")
            self.output += line
            match = re.search(pattern, line)
            if match:
                return match

    def wait(self, timeout=40):
        """Wait for its end; returns its exit code and what it said on standard error."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        while line := self._lines.get():
            self.output += line
        return code, self.process.stderr.read()

    def ready(self):
        """Wait until it is up; returns itself."""
        self.url = self.read_until(r"open +(http\S+)")[1]
        self.read_until(r"Ctrl-C stops it")
        self.took = time.monotonic() - self.begun
        return self

    @property
    def password(self):
        return re.search(r"sign in +(\S+) +password (\S+)", self.output)[2]

    def stop(self, number=signal.SIGINT):
        """Ask it to stop; returns its exit code and what it said on standard error."""
        self.process.send_signal(number)
        return self.wait()

    def processes(self):
        """The id and command line of everything that belongs to this data folder."""
        found = {}
        mark = os.fsencode(self.data)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                cwd = os.fsencode((entry / "cwd").readlink())
                if cwd.startswith(mark) or mark in command or mark in (entry / "environ").read_bytes():
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
        return found


@contextlib.contextmanager
def nothing_left(started):
    """End every system in `started`, and whatever is left of it."""
    yield
    for system in started:
        if system.process.poll() is None:
            system.process.terminate()
            try:
                system.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                system.process.kill()
                system.process.wait(timeout=10)
        system.process.stdout.close()
        system.process.stderr.close()
        for pid in system.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def up(tmp_path):
    """Starts systems, on one data folder unless told otherwise."""
    started = []

    def start(*arguments, data=tmp_path / "data", **variables):
        started.append(Up(data, *arguments, **variables))
        return started[-1]

    with nothing_left(started):
        yield start


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """One running system, for all tests of a module that leave it as it is."""
    started = [Up(tmp_path_factory.mktemp("up") / "data")]
    with nothing_left(started):
        yield started[0].ready()


@pytest.fixture
def gone():
    """Waits until all these processes have ended."""

    def wait(pids, timeout=15.0):
        deadline = time.monotonic() + timeout
        for pid in pids:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                left = max(0.0, deadline - time.monotonic())
                assert select.select([handle], [], [], left)[0], f"process {pid} still runs"
            finally:
                os.close(handle)

    return wait

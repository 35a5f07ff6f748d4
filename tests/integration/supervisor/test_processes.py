"""Worker, API and jobs as a service manager runs them: ready, reload, drain, exit 0."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from core import cli

ROOT = Path(cli.__file__).parent.parent


@pytest.fixture
def manager():
    """The service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0pulseboard-test-{os.urandom(8).hex()}")
        sock.settimeout(20)
        yield sock


@pytest.fixture
def launch(system, manager, tmp_path):
    """Starts a process on the stores of a running system."""
    started = []

    def start(command, *arguments):
        [sibling] = [pid for pid, line in system.processes().items() if " api " in line]
        environ = dict(
            entry.split("=", 1)
            for entry in Path(f"/proc/{sibling}/environ").read_text().split("\0")
            if "=" in entry
        )
        del environ["PULSEBOARD_LOG_LEVEL"]
        environ["NOTIFY_SOCKET"] = "@" + manager.getsockname()[1:].decode()
        environ["WATCHDOG_USEC"] = "2000000"
        (tmp_path / "p.toml").write_text('[log]\nlevel = "info"\n')
        process = subprocess.Popen(
            [sys.executable, "-m", "core.cli", "--config", str(tmp_path / "p.toml"), command, *arguments],
            cwd=ROOT,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert manager.recv(64) in {b"READY=1", b"WATCHDOG=1"}
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_of(process, event):
    """The next log line that says `event`."""
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == event:
            return entry
    return pytest.fail(f"ended without {event!r}")


def expect(manager, state, timeout=10):
    deadline = time.monotonic() + timeout
    while manager.recv(64) != state:
        assert time.monotonic() < deadline, f"no {state!r}"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("worker", ["--port", "0"]), ("jobs", []), ("api", ["--port", "0"])],
)
def test_a_process_serves_reloads_and_ends_with_0(launch, manager, system, tmp_path, *, command, arguments):
    process = launch(command, *arguments)
    url = line_of(process, "listening" if command == "api" else "admin port")["url"]
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        own = client.get("/metrics")
        assert own.status_code == 200
        if command == "jobs":
            assert client.get("/metrics.json").json()["jobs_leading"] == 0
            assert "pulseboard_jobs_leading 0.0" in own.text
    listed = httpx.get(f"{system.url}/metrics.json", trust_env=False).json()["processes"]
    assert url in {entry["admin_url"] for entry in listed if entry["kind"] == command}

    (tmp_path / "p.toml").write_text("nonsense = 1\n")
    process.send_signal(signal.SIGHUP)
    assert "nonsense" in line_of(process, "configuration not read again")["reason"]
    (tmp_path / "p.toml").write_text('[log]\nlevel = "debug"\n')
    process.send_signal(signal.SIGHUP)
    assert line_of(process, "configuration read again")["log_level"] == "debug"

    expect(manager, b"WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    expect(manager, b"STOPPING=1")
    assert process.wait(timeout=20) == 0
    listed = httpx.get(f"{system.url}/metrics.json", trust_env=False).json()["processes"]
    assert url not in {entry["admin_url"] for entry in listed}

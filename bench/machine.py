"""What a result depends on: the machine, the versions, the commit; and the machine's limits."""

import os
import platform
import resource
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.measure import available

LIBRARIES = ("uvloop", "picows", "Cython", "msgspec", "redis", "hiredis", "joserfc")
# Kept free of files for what else a process opens: epoll sets, streams, control sockets, libraries.
SPARE_FILES = 200
# One connection has two ends here, each a file; while it is handed over the server's has two.
FILES_PER_CONNECTION = 2


def describe() -> dict[str, Any]:
    """Machine, kernel, versions, commit and date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "compiler": platform.python_compiler(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "command": " ".join(sys.orig_argv[1:]),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


class Limit(Struct, frozen=True):
    """A limit of the machine and what a run needs of it; `remedy` is the command that raises it."""

    name: str
    have: int
    need: int
    remedy: str

    @property
    def enough(self) -> bool:
        """Whether the run fits."""
        return self.have >= self.need


def open_files() -> int:
    """Files that a process of ours may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def limits(connections: int, per_process: int, processes: int, memory_needed: int) -> list[Limit]:
    """What `connections` with both ends on this machine need, `per_process` at each end of a process."""
    files = connections * FILES_PER_CONNECTION + processes * SPARE_FILES + 100_000
    found = [
        Limit("RLIMIT_NOFILE (hard)", open_files(), per_process + SPARE_FILES, "ulimit -Hn, limits.conf"),
        Limit("fs.file-max", int(_sysctl("fs/file-max")), files, f"sysctl -w fs.file-max={files}"),
        Limit(
            "kernel.pid_max",
            int(_sysctl("kernel/pid_max")),
            processes + 1000,
            "sysctl -w kernel.pid_max=65536",
        ),
        Limit("MemAvailable", available(), memory_needed, "a machine with more memory"),
    ]
    if _tracks_loopback():
        need = connections + 10_000
        found.append(
            Limit(
                "net.netfilter.nf_conntrack_max",
                int(_sysctl("net/netfilter/nf_conntrack_max")),
                need,
                f"sysctl -w net.netfilter.nf_conntrack_max={need}",
            )
        )
    return found


def raise_limits(lacking: list[Limit]) -> None:
    """Carry out the remedies that are sysctls; needs root."""
    for limit in lacking:
        if limit.remedy.startswith("sysctl -w "):
            name, _, value = limit.remedy.removeprefix("sysctl -w ").partition("=")
            Path("/proc/sys", *name.split(".")).write_text(value.strip("'"))


def _tracks_loopback() -> bool:
    """Whether the firewall keeps an entry for each connection of this machine to itself."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        return int(_sysctl("net/netfilter/nf_conntrack_count") or 0) > 0


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except FileNotFoundError:
        return ""

"""The parent of a cluster's workers: imports everything once, then forks them, so that they share pages.

Run as `python -m bench.nursery PLAN`, where PLAN is a JSON file with a `Plan`. Says "forked" on its
output and ends, with all workers, when its input does.
"""

import contextlib
import gc
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bench.worker import serve

GRACE = 10.0


class Plan(Struct):
    """What to start: `flags` are those of `core.config.load`; the sockets' folder is for control."""

    workers: int
    flags: dict[str, Any]
    sockets: str


def main() -> None:
    """Fork, wait, reap."""
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    gc.collect()
    # What is there now is never garbage: collections in the workers need not write to shared pages.
    gc.freeze()
    pids = [_fork(plan, number) for number in range(plan.workers)]
    sys.stdout.buffer.write(msgspec.json.encode({"event": "forked", "pids": pids}) + b"\n")
    sys.stdout.flush()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.read()
    _end(pids)


def _fork(plan: Plan, number: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # The parent's input is its own.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        serve(plan.flags, f"worker-{number}", Path(plan.sockets, f"{number}"), os.getppid())
        status = 0
    finally:
        os._exit(status)


def _end(pids: list[int]) -> None:
    left = set(pids)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + GRACE
        while left and time.monotonic() < deadline:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            left.discard(pid)
            if not pid:
                time.sleep(0.02)


if __name__ == "__main__":
    main()

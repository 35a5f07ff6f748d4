"""Recording where a process spends its CPU time, with Linux `perf`, and reading the stacks back."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.program import BenchError

# The kernel's timer, which virtual machines have too; it ticks while the process runs.
EVENT = "cpu-clock"
MISSING = (
    "perf is missing: install linux-perf (Debian), linux-tools-generic (Ubuntu) or perf (others), "
    "as root or by `sudo`"
)
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
FORBIDDEN = "perf may not be used by this user: `sysctl -w kernel.perf_event_paranoid=2`, or be root"

# A frame as (symbol, file), and a stack of them, the innermost first.
Frame = tuple[str, str]
Stack = list[Frame]

_LINE = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.*) \((?P<file>[^()]*(?:\([^()]*\))?)\)$")


def require_perf() -> str:
    """Where `perf` is.

    Raises:
        BenchError: it is not installed, or not allowed; the text says what to do.
    """
    path = shutil.which("perf")
    if path is None:
        raise BenchError(MISSING)
    if os.geteuid() and int(PARANOID.read_text()) > 2:
        raise BenchError(FORBIDDEN)
    return path


@asynccontextmanager
async def recording(pid: int, frequency: int, target: Path) -> AsyncIterator[None]:
    """Sample the stacks of `pid` for the length of the block, `frequency` times for each second it runs.

    The stacks are unwound from copies of 8 KiB, because interpreters have no frame pointers.

    Raises:
        BenchError: perf failed.
    """
    command, commanding = os.pipe()
    acknowledging, acknowledged = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(require_perf(), "record", "--quiet", "--event", EVENT, "--freq", str(frequency)),
        *("--call-graph", "dwarf,8192", "--no-buildid", "--no-buildid-cache", "--pid", str(pid)),
        *("--delay", "-1", "--control", f"fd:{command},{acknowledged}", "--output", str(target)),
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(command, acknowledged),
    )
    try:
        os.close(acknowledged)
        os.write(commanding, b"enable\n")
        # Without an answer perf has ended, and says why.
        if await asyncio.to_thread(os.read, acknowledging, 64):
            yield
            os.write(commanding, b"stop\n")
        _, err = await process.communicate()
        _check("record", process.returncode, err)
    finally:
        for descriptor in (command, commanding, acknowledging):
            os.close(descriptor)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def stacks(recorded: Path) -> list[Stack]:
    """The stacks of all samples of a recording.

    Raises:
        BenchError: perf failed.
    """
    process = await asyncio.create_subprocess_exec(
        *(require_perf(), "script", "--input", str(recorded), "--no-inline", "--max-stack", "64"),
        *("--fields", "ip,sym,dso"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    _check("script", process.returncode, err)
    return list(parse_stacks(out.decode(errors="replace").splitlines()))


def parse_stacks(lines: Iterable[str]) -> Iterator[Stack]:
    """The stacks in what `perf script` writes: a line a frame, an empty line after each sample."""
    stack: Stack = []
    for line in lines:
        found = _LINE.match(line)
        if found:
            stack.append((found["symbol"], found["file"]))
        elif not line.strip() and stack:
            yield stack
            stack = []
    if stack:
        yield stack


def _check(command: str, status: int | None, err: bytes) -> None:
    if status:
        raise BenchError(f"perf {command}: {err.decode(errors='replace').strip()[-500:]}")

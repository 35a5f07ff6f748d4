"""Where the CPU time of a worker goes, idle and broadcasting, and how much of it is spent in Python.

python -m bench.profile [--size short|normal] [--out FILE]

Both are recorded with few and with many connections. No Python runs for a connection if, with ten times
as many, the interpreter takes the same time a second. A sample's stack tells whose time it is:

- *engine*: in `ext`, or in the kernel and libraries on its behalf, with no Python frame above it;
- *python within*: Python that the engine called;
- *python around*: Python that the event loop called, outside the engine;
- *loop*: the event loop itself, and whatever else.

Opening connections is recorded as well: each is asked about in Python, so *python within* must show there.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from msgspec import Struct

import ext
from bench import machine
from bench.lab import NORMAL, SHORT, Ours, ours
from bench.load.client import ON_NETWORK
from bench.measure import cpu_seconds, settled
from bench.outcome import LOWER, Check, check
from bench.perf import Stack, recording, require_perf, stacks
from bench.program import BenchError
from bench.run import RESULTS, write

PARTS = ENGINE, WITHIN, AROUND, LOOP = "engine", "python within", "python around", "loop"
# Every call of a Python function from C passes here, and those from Python within one such call.
EVALUATION = ("_PyEval_EvalFrameDefault", "_PyEval_Vector", "PyEval_EvalCode")
# Folders of modules that belong to no package.
FOLDERS = ("lib-dynload", "site-packages", "dist-packages")
EXT = tuple(f"{folder}/" for folder in ext.__path__)
SYMBOLS = 12
PING_INTERVAL = 5.0
BROADCAST_SIZE = 64


class Size(Struct, frozen=True):
    """How much is recorded: connections, seconds, broadcasts a second."""

    few: int
    many: int
    seconds: float
    broadcasts: float


SIZES = {SHORT: Size(30, 300, 1.0, 5.0), NORMAL: Size(1_500, 15_000, 12.0, 3.0)}
IDLE, BROADCASTING, OPENING = "idle", "broadcasting", "opening"
# Samples for each second of processor time, of which an idle worker needs little.
FREQUENCY = {IDLE: 9973, BROADCASTING: 1997, OPENING: 1997}
# A share of samples, in percent, and a growth; ten times the connections would be a growth of ten.
MOST_WITHIN = 0.1
MOST_GROWTH = 2.0


class Profile(Struct, frozen=True, kw_only=True):
    """One recording. Milliseconds are the worker's processor time for each second on the clock."""

    work: str
    connections: int
    seconds: float
    calls: int  # broadcasts, or pings answered
    samples: int
    ms_per_second: float
    by_part: dict[str, float]  # ms per second of the four above
    by_file: dict[str, float]  # share of the samples by what was running: kernel, library, extension
    symbols: dict[str, float]  # the same by function, the largest
    within_samples: int


def is_evaluation(symbol: str) -> bool:
    """Whether a function is the one that evaluates Python code; compilers split it into parts."""
    return symbol.partition(".")[0] in EVALUATION


def part_of(stack: Stack, engine: tuple[str, ...] = EXT) -> str:
    """Whose time a sample is, by its stack, the innermost frame first."""
    inside = [number for number, (_, file) in enumerate(stack) if file.startswith(engine)]
    python = [number for number, (symbol, _) in enumerate(stack) if is_evaluation(symbol)]
    if inside:
        # What the outermost function of the engine called stands before it.
        return WITHIN if any(number < inside[-1] for number in python) else ENGINE
    loop = [number for number, (_, file) in enumerate(stack) if Path(file).name.startswith("loop.")]
    # Below the loop's own functions is the Python that started it.
    return AROUND if any(not loop or number < loop[-1] for number in python) else LOOP


def file_name(file: str) -> str:
    """A short name of what was running: the kernel, a library, a module."""
    if file.startswith("["):
        return "kernel" if "kernel" in file else file.strip("[]")
    path = Path(file)
    module, extension, _ = path.name.partition(".cpython-")
    if not extension:
        return path.name.partition(".so")[0]
    package = path.parent.name
    return module if package in FOLDERS else f"{package}.{module}"


def sum_up(
    work: str, connections: int, found: list[Stack], *, seconds: float, cpu: float, calls: int
) -> Profile:
    """Attribute the samples of one recording.

    Raises:
        BenchError: there are none.
    """
    if not found:
        raise BenchError("perf took no samples")
    count = len(found)
    ms_per_second = cpu / seconds * 1e3
    parts = Counter(part_of(stack) for stack in found)
    files = Counter(file_name(stack[0][1]) for stack in found)
    symbols = Counter(f"{file_name(stack[0][1])}: {stack[0][0]}" for stack in found)
    return Profile(
        work=work,
        connections=connections,
        seconds=round(seconds, 2),
        calls=calls,
        samples=count,
        ms_per_second=round(ms_per_second, 3),
        by_part={part: round(parts[part] / count * ms_per_second, 4) for part in PARTS},
        by_file={name: round(number / count, 4) for name, number in files.most_common()},
        symbols={name: round(number / count, 4) for name, number in symbols.most_common(SYMBOLS)},
        within_samples=parts[WITHIN],
    )


class Recorder:
    """Records the worker of a running system."""

    def __init__(self, system: Ours, size: Size, folder: Path) -> None:
        self._system = system
        self._size = size
        self._folder = folder

    async def profile(self, work: str, connections: int) -> Profile:
        """Record one kind of work."""
        do = {IDLE: self._idle, BROADCASTING: self._broadcast, OPENING: self._open}[work]
        pid, file = self._system.pid, self._folder / "perf.data"
        async with recording(pid, FREQUENCY[work], file):
            began, cpu = time.monotonic(), cpu_seconds(pid)
            calls = await do(connections)
            seconds, cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
        found = await stacks(file)
        return sum_up(work, connections, found, seconds=seconds, cpu=cpu, calls=calls)

    async def _open(self, connections: int) -> int:
        """Open connections until there are so many; returns how many were new."""
        before: int = (await self._system.client.stats())["open"]
        await self._system.client.open(connections)
        return connections - before

    async def _idle(self, _connections: int) -> int:
        """Nothing but pings; returns how many were answered."""
        before: int = (await self._system.client.stats())["pings"]
        await asyncio.sleep(self._size.seconds)
        after: int = (await self._system.client.stats())["pings"]
        return after - before

    async def _broadcast(self, connections: int) -> int:
        """Events for everybody at a steady rate, by Redis; returns how many reached all."""
        loop = asyncio.get_running_loop()
        client = self._system.client
        began = loop.time()
        count = 0
        while loop.time() < began + self._size.seconds:
            await client.mark()
            client.watch(connections)
            await self._system.cluster.publish(BROADCAST_SIZE)
            await client.reached()
            count += 1
            await asyncio.sleep(max(began + count / self._size.broadcasts - loop.time(), 0))
        return count


async def run(size: Size) -> list[Profile]:
    """Record both kinds of work, with few and with many connections.

    Raises:
        BenchError: perf cannot be used, or connections did not come to be.
    """
    require_perf()
    found: list[Profile] = []
    pings: dict[str, Any] = {"ws__ping_interval": PING_INTERVAL, "ws__pong_timeout": PING_INTERVAL}
    with tempfile.TemporaryDirectory(prefix="pulseboard-profile-") as folder:
        async with ours(size.many, ON_NETWORK, **pings) as system:
            recorder = Recorder(system, size, Path(folder))
            for connections in (size.few, size.many):
                for work in (OPENING, IDLE, BROADCASTING):
                    await settled([system.pid], timeout=3)
                    found.append(await recorder.profile(work, connections))
                    print(f"  {work}, {connections:,} connections: {found[-1].by_part}", file=sys.stderr)
    return found


def judge(found: list[Profile]) -> list[Check]:
    """Whether Python runs for connections, idle and broadcasting."""
    checks = []
    for work in (IDLE, BROADCASTING):
        few, many = (profile for profile in found if profile.work == work)
        figure = f"samples in Python that the engine called, {work}, {many.connections:,} connections"
        share = many.within_samples / many.samples * 100
        checks.append(check(figure, share, "%", better=LOWER, bar=MOST_WITHIN, aim=0))
        before, after = (profile.by_part[WITHIN] + profile.by_part[AROUND] for profile in (few, many))
        if before:
            figure = (
                f"CPU time in Python, {work}, {many.connections:,} connections against {few.connections:,}"
            )
            checks.append(check(figure, after / before, "×", better=LOWER, bar=MOST_GROWTH))
    return checks


def main() -> int:
    """Record, write, show."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.profile", description="Show where a worker's CPU time goes."
    )
    parser.add_argument("--size", choices=tuple(SIZES), default=NORMAL, help="how much is recorded")
    parser.add_argument("--out", type=Path, help="the result's file (bench/results/profile.json)")
    options = parser.parse_args()
    out = options.out or RESULTS / ("profile.json" if options.size == NORMAL else "local/profile.json")
    try:
        found = asyncio.run(run(SIZES[options.size]))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    checks = judge(found)
    described = machine.describe()
    write(out, {"machine": described, "ping_interval": PING_INTERVAL, "checks": checks, "profiles": found})
    for one in checks:
        print(f"{one.verdict:>7}  {one.figure}: {one.value:g} {one.unit} (bar {one.bar:g})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

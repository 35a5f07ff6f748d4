"""Reading what processes and the machine use, and summing repeated measurements up."""

import asyncio
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

SETTLE_STEP = 0.1
# A process that used less than this share of a core for two steps has nothing left to do.
IDLE_SHARE = 0.03


class Memory(Struct, frozen=True):
    """User memory of a process in bytes: resident, and with what it shares divided by its sharers."""

    rss: int
    pss: int


def memory(pid: int) -> Memory:
    """What `pid` has resident now."""
    fields = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return Memory(fields["Rss"], fields["Pss"])


def cpu_seconds(pid: int) -> float:
    """Processor time that all threads of `pid` have used."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        # schedstat counts nanoseconds; stat only ticks of 10 ms.
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def runs(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def available() -> int:
    """Bytes that new processes could have (MemAvailable)."""
    return _fields(Path("/proc/meminfo"))["MemAvailable"]


def _fields(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        amount = rest.split()
        if len(amount) == 2 and amount[1] == "kB":
            found[name] = int(amount[0]) * 1024
    return found


async def settled(pids: Iterable[int], timeout: float = 20.0) -> None:
    """Wait until the processes have nothing left to do, `timeout` seconds at most."""
    pids = list(pids)
    quiet = 0
    before = sum(map(cpu_seconds, pids))
    for _ in range(round(timeout / SETTLE_STEP)):
        await asyncio.sleep(SETTLE_STEP)
        after = sum(map(cpu_seconds, pids))
        quiet = quiet + 1 if after - before < IDLE_SHARE * SETTLE_STEP * len(pids) else 0
        if quiet == 2:
            return
        before = after


class Spread(Struct, frozen=True):
    """Repeated measurements of one figure: the median stands for all."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Sum `values` up, four digits each."""
        return cls(_round(statistics.median(values)), _round(min(values)), _round(max(values)), len(values))


def _round(value: float) -> float:
    return float(f"{value:.4g}")

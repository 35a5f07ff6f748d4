"""How many authenticated, subscribed connections one machine holds, both ends on it.

    python -m bench.million [--connections N] [--hold SECONDS] [--ping SECONDS] [--raise-limits] [--out FILE]

Looks at the limits first and says what to raise. Then opens the connections, holds them pinged, sends
one broadcast a minute to all, and counts what is lost.
"""

import argparse
import asyncio
import math
import os
import sys
import time
from contextlib import AsyncExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench import machine, measure
from bench.cluster import Cluster, start_cluster
from bench.load.client import ON_BOTH, ON_NETWORK, LoadClient, load_client, sources
from bench.program import BenchError
from bench.run import RESULTS, write

# User and kernel memory of both ends of a connection, and of a worker or client process, in bytes.
CONNECTION_BYTES = 9_000
PROCESS_BYTES = 15_000_000
# The kernel spreads connections over the workers by chance: this many standard deviations are left free.
DEVIATIONS = 8
MAX_PER_PROCESS = 19_000
# Clients that open connections at the same time, and attempts under way in each.
OPENERS = 6
IN_FLIGHT = 256
BROADCAST_BYTES = 64
BROADCAST_PATIENCE = 120.0
FIRST_SOURCE = IPv4Address("127.0.0.2")


class Shape(Struct, frozen=True):
    """How the connections are divided over processes."""

    connections: int
    workers: int
    per_worker: int
    per_client: list[int]

    @property
    def processes(self) -> int:
        """All that are started, but for the driver."""
        return self.workers + len(self.per_client) + 2


def divide(connections: int, per_process: int, at_least: int = 2) -> Shape:
    """So many workers and clients that none has more than `per_process` connections."""
    clients = max(1, math.ceil(connections / per_process))
    shares = [connections // clients + (number < connections % clients) for number in range(clients)]
    workers = max(at_least, clients)
    while (mean := connections / workers) + DEVIATIONS * math.sqrt(mean) > per_process:
        workers += 1
    return Shape(connections, workers, per_process, shares)


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.million", description="Hold very many connections."
    )
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--hold", type=float, default=300, help="seconds to hold them")
    parser.add_argument("--ping", type=float, default=25, help="seconds between pings")
    parser.add_argument("--broadcast-every", type=float, default=60, help="seconds between broadcasts")
    parser.add_argument("--both-channels", action="store_true", help="subscribe to `me`, too")
    parser.add_argument("--raise-limits", action="store_true", help="set sysctls that are too low (root)")
    parser.add_argument("--check", action="store_true", help="look at the limits and end")
    parser.add_argument("--open-within", type=float, default=1500, help="seconds that opening may take")
    parser.add_argument("--out", type=Path, help="the result's file (bench/results/million.json)")
    options = parser.parse_args(line)
    if options.connections < 1 or options.hold < 0:
        parser.error("there must be something to hold")
    if options.out is None:
        name = "million.json" if options.connections >= 1_000_000 else f"local/{options.connections}.json"
        options.out = RESULTS / name
    return options


def check_limits(shape: Shape, may_raise: bool) -> None:
    """Compare the machine's limits with what is needed.

    Raises:
        BenchError: some are too low; the text says which, and how to raise them.
    """
    need = shape.connections * CONNECTION_BYTES + shape.processes * PROCESS_BYTES

    def lacking() -> list[machine.Limit]:
        found = machine.limits(shape.connections, max(shape.per_client), shape.processes, need)
        return [limit for limit in found if not limit.enough]

    low = lacking()
    if low and may_raise:
        if os.geteuid():
            raise BenchError("raising limits needs root")
        machine.raise_limits(low)
        low = lacking()
    if low:
        lines = [f"  {limit.name} is {limit.have:,}, needed {limit.need:,}: {limit.remedy}" for limit in low]
        raise BenchError("the machine's limits are too low (or try --raise-limits):\n" + "\n".join(lines))


class Run:
    """One run on a started cluster."""

    def __init__(self, shape: Shape, options: argparse.Namespace, cluster: Cluster) -> None:
        self._shape = shape
        self._options = options
        self._cluster = cluster
        self._clients: list[LoadClient] = []
        self.empty = self.usage()
        self.samples: list[dict[str, float]] = []

    def usage(self) -> measure.Memory:
        """The user memory of all workers together."""
        each = [measure.memory(pid) for pid in self._cluster.pids]
        return measure.Memory(sum(one.rss for one in each), sum(one.pss for one in each))

    def _cpu(self) -> float:
        return sum(map(measure.cpu_seconds, self._cluster.pids))

    async def open(self, stack: AsyncExitStack) -> float:
        """Open all connections, a few clients at a time; returns the seconds that took."""
        began = time.monotonic()
        slots = asyncio.Semaphore(OPENERS)
        done = 0

        async def fill(number: int, share: int) -> None:
            nonlocal done
            dialect = ON_BOTH if self._options.both_channels else ON_NETWORK
            async with slots:
                client = await stack.enter_async_context(
                    load_client(
                        self._cluster.port,
                        share,
                        dialect,
                        mint=self._cluster.user_token,
                        source=str(FIRST_SOURCE + number * sources(share)),
                        in_flight=IN_FLIGHT,
                        seconds=self._options.open_within + self._options.hold + 600,
                    )
                )
                await client.open(share, timeout=self._options.open_within)
                self._clients.append(client)
                done += share
                self._sample(done, time.monotonic() - began)

        try:
            async with asyncio.timeout(self._options.open_within), asyncio.TaskGroup() as group:
                for number, share in enumerate(self._shape.per_client):
                    group.create_task(fill(number, share))
        except TimeoutError:
            raise BenchError(f"only {done:,} connections after {self._options.open_within:g} s") from None
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return time.monotonic() - began

    def _sample(self, connections: int, seconds: float) -> None:
        usage = self.usage()
        sample = {
            "connections": connections,
            "seconds": round(seconds, 1),
            "rss_per_connection": round((usage.rss - self.empty.rss) / connections),
            "pss_per_connection": round((usage.pss - self.empty.pss) / connections),
            "available_bytes": measure.available(),
        }
        self.samples.append(sample)
        print(
            f"  {connections:,} after {seconds:.0f} s, {sample['pss_per_connection']:,} B each,"
            f" {sample['available_bytes'] / 2**30:.1f} GiB left",
            file=sys.stderr,
        )

    def marginal(self) -> int | None:
        """Bytes for each connection after the first tenth: without what a worker takes but once."""
        total = self._shape.connections
        early = next(one for one in self.samples if one["connections"] >= total / 10)
        if early["connections"] == total:
            return None
        last = self.samples[-1]
        grown = last["pss_per_connection"] * total - early["pss_per_connection"] * early["connections"]
        return round(grown / (total - early["connections"]))

    async def hold(self) -> dict[str, Any]:
        """Hold them, with a broadcast at the start of each turn; returns what happened."""
        began, before = time.monotonic(), self._cpu()
        pings = await self._cluster.total("pings_total")
        broadcasts: list[dict[str, Any]] = []
        lowest = measure.available()
        next_broadcast = 0.0
        while (now := time.monotonic() - began) < self._options.hold:
            lowest = min(lowest, measure.available())
            if now >= next_broadcast:
                broadcasts.append(await self._broadcast())
                next_broadcast += self._options.broadcast_every
            await asyncio.sleep(min(1.0, max(0.0, self._options.hold - now)))
        seconds = time.monotonic() - began
        stats = await asyncio.gather(*(client.stats() for client in self._clients))
        used = self._cpu() - before
        return {
            "seconds": round(seconds, 1),
            "open": sum(one["open"] for one in stats),
            "lost": sum(one["lost"] for one in stats),
            "lost_codes": _sum_codes([one["codes"] for one in stats]),
            "retried_attempts": sum(one["retries"] for one in stats),
            "pings": await self._cluster.total("pings_total") - pings,
            "broadcasts": broadcasts,
            "workers_cpu_us_per_connection_and_second": round(
                used / seconds / self._shape.connections * 1e6, 3
            ),
            "lowest_available_bytes": lowest,
        }

    async def _broadcast(self) -> dict[str, Any]:
        """One event to all, by Redis as in production."""
        expected = {id(client): (await client.stats())["open"] for client in self._clients}
        for client in self._clients:
            await client.mark()
            if expected[id(client)]:
                client.watch(expected[id(client)])
        at = time.monotonic_ns()
        await self._cluster.publish(BROADCAST_BYTES)
        ends = []
        for client in self._clients:
            if expected[id(client)]:
                ends.append((await client.reached(BROADCAST_PATIENCE))["last_ns"])
        seconds = (max(ends, default=at) - at) / 1e9
        reached = sum(expected.values())
        print(f"  broadcast to {reached:,} in {seconds:.2f} s", file=sys.stderr)
        return {"reached": reached, "seconds": round(seconds, 3)}


def _sum_codes(each: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for codes in each:
        for code, count in codes.items():
            total[code] = total.get(code, 0) + count
    return total


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Carry it out; returns the whole result.

    Raises:
        BenchError: a limit is too low, or connections did not come to be.
    """
    per_process = min(MAX_PER_PROCESS, machine.open_files() - machine.SPARE_FILES)
    shape = divide(options.connections, per_process)
    check_limits(shape, options.raise_limits)
    if options.check:
        return {}
    available = measure.available()
    settings = {
        "ws.ping_interval": options.ping,
        "ws.pong_timeout": min(options.ping, 10.0),
        "ws.max_connections": per_process,
    }
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(start_cluster(shape.workers, settings))
        work = Run(shape, options, cluster)
        empty = work.empty
        print(f"  {shape.workers} workers, {len(shape.per_client)} clients", file=sys.stderr)
        seconds = await work.open(stack)
        after_open = measure.available()
        held = await work.hold()
        full = work.usage()
    return {
        "machine": machine.describe(),
        "connections": options.connections,
        "channels": ["me", "network"] if options.both_channels else ["network"],
        "ping_interval": options.ping,
        "workers": shape.workers,
        "clients": len(shape.per_client),
        "empty_workers": empty,
        "full_workers": full,
        "pss_per_connection": round((full.pss - empty.pss) / options.connections),
        "open_seconds": round(seconds, 1),
        "available_bytes": {
            "before": available,
            "open": after_open,
            "lowest": held["lowest_available_bytes"],
        },
        "pss_per_further_connection": work.marginal(),
        "growth": work.samples,
        "held": held,
    }


def main() -> int:
    """Run, write, say how it went."""
    options = arguments()
    try:
        result = asyncio.run(run(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not result:
        print("the machine's limits suffice")
        return 0
    write(options.out, result)
    held = result["held"]
    print(
        f"{held['open']:,} of {result['connections']:,} connections held {held['seconds']:g} s, "
        f"{held['lost']} lost, "
        f"{result['pss_per_connection']:,} B of the workers' memory each, "
        f"{held['lowest_available_bytes'] / 2**30:.1f} GiB left"
    )
    return 0 if held["open"] == result["connections"] and not held["lost"] else 1


if __name__ == "__main__":
    sys.exit(main())

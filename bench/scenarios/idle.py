"""Processor time of connections that do nothing but answer pings."""

import asyncio

from bench.lab import Lab, ours
from bench.load.client import ON_NETWORK
from bench.measure import Spread, cpu_seconds, settled
from bench.outcome import LOWER, OURS, Outcome, check


async def run(lab: Lab) -> Outcome:
    """Two whole periods of pings; the worker's own ticking is in the figure."""
    connections = lab.pick(200, 18_000)
    interval = lab.pick(1.0, 25.0)
    async with ours(
        connections, ON_NETWORK, ws__ping_interval=interval, ws__pong_timeout=min(interval, 10.0)
    ) as system:
        before = cpu_seconds(system.pid)
        await asyncio.sleep(2.0)
        empty = (cpu_seconds(system.pid) - before) / 2.0
        await system.client.open(connections)
        await settled([system.pid])
        await system.client.mark()
        # One period at a time, so that a disturbance shows.
        periods = []
        for _ in range(2):
            before = cpu_seconds(system.pid)
            await asyncio.sleep(interval)
            used = cpu_seconds(system.pid) - before
            periods.append(used / interval / connections * 1e6)
            lab.say(f"{periods[-1]:.2f} µs/s a connection")
        stats = await system.client.stats()
    series = {OURS: Spread.of(periods)}
    return Outcome(
        title="CPU per idle connection",
        unit="µs/s",
        better=LOWER,
        series=series,
        checks=[
            check(
                f"CPU per idle connection at a {interval:g} s ping",
                sum(periods) / len(periods),
                "µs/s",
                better=LOWER,
                bar=2.3,
                aim=1,
            )
        ],
        details={
            "connections": connections,
            "ping_interval": interval,
            "pings_answered": stats["pings"],
            "lost": stats["lost"],
            "empty_worker_ms_per_s": round(empty * 1e3, 3),
        },
    )

"""Writes for ten events that are due to one socket within a tick."""

import asyncio
from uuid import UUID

from bench.lab import Lab, Ours, ours
from bench.load.client import ON_BOTH
from bench.measure import Spread
from bench.outcome import LOWER, OURS, Outcome, check

USER = UUID(int=1)
EVENTS = 10
# Long past any tick and any pause that the server makes for a last-value channel.
PAUSE = 0.5
# (for everybody, for the one)
MIXES = {"network": (EVENTS, 0), "me": (0, EVENTS), "both": (EVENTS // 2, EVENTS // 2)}


async def run(lab: Lab) -> Outcome:
    """Count the worker's writes, and the segments that reach the client."""
    rounds = lab.pick(1, 5)
    writes: dict[str, list[float]] = {name: [] for name in MIXES}
    details: dict[str, dict[str, float]] = {}
    async with ours(1, ON_BOTH, lambda cluster: lambda: cluster.user_token(USER)) as system:
        await system.client.open(1)
        for _ in range(rounds):
            for name, (for_all, for_one) in MIXES.items():
                before = await _counts(system)
                await system.cluster.publish_together(for_all, for_one, USER)
                await asyncio.sleep(PAUSE)
                after = await _counts(system)
                writes[name].append(after["writes"] - before["writes"])
                details[name] = {key: after[key] - before[key] for key in after}
                lab.say(f"{name}: {details[name]}")
    series = {f"{OURS}, {name}": Spread.of(values) for name, values in writes.items()}
    return Outcome(
        title=f"Writes for {EVENTS} events to one socket",
        unit="writes",
        better=LOWER,
        series=series,
        checks=[
            check(
                f"writes for {EVENTS} events due to one socket within a tick",
                max(spread.median for spread in series.values()),
                "writes",
                better=LOWER,
                bar=1,
            )
        ],
        details=details,
    )


async def _counts(system: Ours) -> dict[str, int]:
    stats = await system.client.stats()
    return {
        "writes": await system.cluster.total("writes_total"),
        "segments": stats["segments"],
        "messages": stats["messages"],
    }

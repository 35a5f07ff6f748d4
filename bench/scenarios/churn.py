"""Memory after very many connections came and went, half of them without a word."""

from bench.lab import Lab, ours
from bench.load.client import ON_NETWORK
from bench.measure import Spread, memory
from bench.outcome import LOWER, OURS, Outcome, check

IN_FLIGHT = 64


async def run(lab: Lab) -> Outcome:
    """The first twentieth warms the worker up; growth counts from there."""
    connections = lab.pick(2_000, 50_000, 1_000_000)
    async with ours(IN_FLIGHT, ON_NETWORK, in_flight=IN_FLIGHT, tokens=2_000) as system:
        await system.client.churn(connections // 20)
        await system.cluster.emptied()
        before = memory(system.pid).rss
        churned = await system.client.churn(connections)
        await system.cluster.emptied()
        after = memory(system.pid).rss
    growth = (after - before) / before * 100
    lab.say(f"{growth:+.2f} %, {connections / churned['seconds']:,.0f} connections a second")
    return Outcome(
        title="Memory after many connections",
        unit="%",
        better=LOWER,
        series={OURS: Spread.of([growth])},
        checks=[
            check(
                f"memory after {connections:,} connects and disconnects against before",
                growth,
                "%",
                better=LOWER,
                bar=5,
            )
        ],
        details={
            "rss_before": before,
            "rss_after": after,
            "connections_per_second": round(connections / churned["seconds"]),
        },
    )

"""Handshakes a second: ours authenticated and welcomed, others bare."""

from contextlib import AsyncExitStack

from bench.lab import Lab, Ours, Theirs, ours, theirs
from bench.load.client import AUTHENTICATED
from bench.measure import Spread, settled
from bench.others import PICOWS
from bench.outcome import HIGHER, OURS, Outcome, check


async def run(lab: Lab) -> Outcome:
    """Open connections as fast as they are taken, 64 at a time, drop them all, and again."""
    connections = lab.pick(300, 4_000)
    rounds = lab.pick(2, 5)
    names = lab.peers(PICOWS, "websockets", "aiohttp", "µWebSockets") if lab.size != "short" else [PICOWS]
    found: dict[str, list[float]] = {OURS: [], PICOWS: []}
    async with AsyncExitStack() as stack:
        systems: dict[str, Ours | Theirs] = {
            OURS: await stack.enter_async_context(ours(connections, AUTHENTICATED)),
            PICOWS: await stack.enter_async_context(theirs(PICOWS, connections)),
        }
        for _ in range(rounds):
            for name in lab.shuffled(list(found)):
                found[name].append(await _rate(systems[name], connections))
                lab.say(f"{name}: {found[name][-1]:,.0f}/s")
    for name in names[1:]:
        # Alone: one of them is never idle.
        async with theirs(name, connections) as system:
            found[name] = [await _rate(system, connections) for _ in range(2)]
            lab.say(f"{name}: {found[name][-1]:,.0f}/s")
    series = {name: Spread.of(values) for name, values in found.items()}
    return Outcome(
        title="Handshakes per second",
        unit="1/s",
        better=HIGHER,
        series=series,
        checks=[
            check(
                "authenticated handshakes against a bare picows handshake",
                series[OURS].median / series[PICOWS].median,
                "×",
                better=HIGHER,
                bar=1,
                aim=2,
            )
        ],
        details={"connections": connections, "in_flight": 64},
    )


async def _rate(system: Ours | Theirs, connections: int) -> float:
    seconds = (await system.client.open(connections))["seconds"]
    await system.client.drop()
    await settled([system.pid], timeout=3)
    return connections / float(seconds)

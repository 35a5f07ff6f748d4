"""One frame to everybody: what a send costs the server, and when the last client has it."""

from contextlib import AsyncExitStack

from bench.lab import Lab, Ours, Theirs, ours, theirs
from bench.load.client import ON_NETWORK
from bench.measure import Spread, settled
from bench.others import PICOWS, C
from bench.outcome import HIGHER, LOWER, OURS, Outcome, check

SIZES = (64, 512)


class Timings:
    """Of one target: microseconds a send by size, and milliseconds until the last client had it."""

    def __init__(self) -> None:
        self.sends: dict[int, list[float]] = {size: [] for size in SIZES}
        self.complete: dict[int, list[float]] = {size: [] for size in SIZES}


async def run(lab: Lab) -> Outcome:
    """Ours and a C `send` loop in turn, then others."""
    connections = lab.pick(200, 10_000)
    rounds = lab.pick(3, 12)
    found = {name: Timings() for name in (OURS, C, PICOWS)}
    async with AsyncExitStack() as stack:
        systems: dict[str, Ours | Theirs] = {
            OURS: await stack.enter_async_context(ours(connections, ON_NETWORK)),
            C: await stack.enter_async_context(theirs(C, connections)),
            PICOWS: await stack.enter_async_context(theirs(PICOWS, connections)),
        }
        for system in systems.values():
            await system.client.open(connections)
        await settled(system.pid for system in systems.values())
        for _ in range(rounds):
            for size in SIZES:
                for name in lab.shuffled(list(systems)):
                    await _broadcast(systems[name], found[name], size, connections)
    for name in lab.peers("websockets", "aiohttp", "µWebSockets") if lab.size != "short" else []:
        async with theirs(name, connections) as system:
            await system.client.open(connections)
            await settled([system.pid], timeout=3)
            found[name] = Timings()
            for _ in range(4):
                for size in SIZES:
                    await _broadcast(system, found[name], size, connections)
    for name, timings in found.items():
        lab.say(f"{name}: {Spread.of(timings.complete[SIZES[0]]).median:.1f} ms until all had it")
    return _sum_up(found, connections)


async def _broadcast(system: Ours | Theirs, timings: Timings, size: int, connections: int) -> None:
    client = system.client
    await client.mark()
    client.watch(connections)
    if isinstance(system, Ours):
        sent = await system.cluster.workers[0].ask("broadcast", size=size)
    else:
        sent = await system.peer.broadcast(size)
    reached = await client.reached()
    timings.sends[size].append(sent["ns"] / connections / 1e3)
    timings.complete[size].append((reached["last_ns"] - sent["at_ns"]) / 1e6)


def _sum_up(found: dict[str, Timings], connections: int) -> Outcome:
    series = {
        f"{name}, {size} B": Spread.of([ms * 1e3 / connections for ms in timings.complete[size]])
        for size in SIZES
        for name, timings in found.items()
    }
    checks = [
        check(
            f"broadcast of {size} B to {connections:,} connections against a C `send` loop",
            Spread.of(found[C].sends[size]).median / Spread.of(found[OURS].sends[size]).median,
            "×",
            better=HIGHER,
            bar=0.95,
        )
        for size in SIZES
    ]
    if "µWebSockets" in found:
        checks += [
            check(
                f"broadcast of {size} B until all had it, against µWebSockets' publish",
                Spread.of(found["µWebSockets"].complete[size]).median
                / Spread.of(found[OURS].complete[size]).median,
                "×",
                better=HIGHER,
                bar=0.95,
                aim=1,
            )
            for size in SIZES
        ]
    return Outcome(
        title="Broadcast, per connection until all had it",
        unit="µs",
        better=LOWER,
        series=series,
        checks=checks,
        details={
            "connections": connections,
            # µWebSockets only notes the message down and sends it after that: no figure of a send.
            "us_per_send": {
                name: {size: Spread.of(timings.sends[size]) for size in SIZES}
                for name, timings in found.items()
                if name != "µWebSockets"
            },
        },
    )

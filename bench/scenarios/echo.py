"""Messages a second through an echo, every connection waiting for its answer before it sends again."""

from contextlib import AsyncExitStack

from bench.lab import Lab, Theirs, theirs
from bench.load.client import Dialect
from bench.measure import Spread, cpu_seconds
from bench.others import ENGINE, PICOWS, C
from bench.outcome import HIGHER, OURS, Outcome, check

ECHO = Dialect(path="/echo")
SIZE = 64


async def run(lab: Lab) -> Outcome:
    """The engine's raw echo mode against the least a server can be, then against others."""
    connections = lab.pick(100, 2_000)
    seconds = lab.pick(0.3, 2.0)
    rounds = lab.pick(1, 4)
    found: dict[str, list[float]] = {OURS: [], C: [], PICOWS: []}
    latency: dict[str, object] = {}
    cpu: dict[str, float] = {}

    async def measure(name: str, system: Theirs) -> None:
        before = cpu_seconds(system.pid)
        answer = await system.client.echo(seconds, SIZE)
        cpu[name] = round((cpu_seconds(system.pid) - before) / answer["done"] * 1e6, 2)
        found[name].append(answer["done"] / answer["seconds"])
        latency[name] = answer["latency_us"]
        lab.say(f"{name}: {found[name][-1]:,.0f}/s")

    async with AsyncExitStack() as stack:
        systems = {
            OURS: await stack.enter_async_context(theirs(ENGINE, connections, ECHO)),
            C: await stack.enter_async_context(theirs(C, connections)),
            PICOWS: await stack.enter_async_context(theirs(PICOWS, connections)),
        }
        for system in systems.values():
            await system.client.open(connections)
        for _ in range(rounds):
            for name in lab.shuffled(list(systems)):
                await measure(name, systems[name])
    for name in lab.peers("websockets", "aiohttp", "µWebSockets") if lab.size != "short" else []:
        async with theirs(name, connections) as system:
            await system.client.open(connections)
            found[name] = []
            for _ in range(2):
                await measure(name, system)
    series = {name: Spread.of(values) for name, values in found.items()}
    return Outcome(
        title="Echo, messages per second",
        unit="1/s",
        better=HIGHER,
        series=series,
        checks=[
            check(
                "echo through the engine against a C epoll echo",
                series[OURS].median / series[C].median,
                "×",
                better=HIGHER,
                bar=0.75,
                aim=0.9,
            )
        ],
        details={"connections": connections, "bytes": SIZE, "latency_us": latency, "server_cpu_us": cpu},
    )

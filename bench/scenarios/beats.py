"""Nodes' beats a second, decoded, recorded and handed to the stream, against echoing the same bytes.

A beat has no answer: a ping goes with each and its pong says that the beat was handled.
"""

from contextlib import AsyncExitStack

from bench.lab import Lab, Ours, Theirs, ours, theirs
from bench.load.client import BEAT, NODE, Dialect
from bench.measure import Spread, settled
from bench.others import PICOWS
from bench.outcome import HIGHER, OURS, Outcome, check


async def run(lab: Lab) -> Outcome:
    """Every connection sends its next beat when the one before was handled."""
    connections = lab.pick(100, 1_000)
    seconds = lab.pick(0.3, 2.0)
    rounds = lab.pick(1, 4)
    found: dict[str, list[float]] = {OURS: [], PICOWS: []}
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(ours(connections, NODE, lambda cluster: cluster.node_token))
        bare = await stack.enter_async_context(theirs(PICOWS, connections, Dialect(path="/", binary=True)))
        systems: dict[str, Ours | Theirs] = {OURS: nodes, PICOWS: bare}
        for system in systems.values():
            await system.client.open(connections)
        for _ in range(rounds):
            for name in lab.shuffled(list(systems)):
                if name == OURS:
                    answer = await nodes.client.beat(seconds)
                else:
                    answer = await bare.client.echo(seconds, len(BEAT))
                found[name].append(answer["done"] / answer["seconds"])
                lab.say(f"{name}: {found[name][-1]:,.0f}/s")
                await settled([nodes.pid, bare.pid])
        handed_on = await nodes.cluster.total("records_appended_total")
        dropped = await nodes.cluster.total("records_dropped_total")
    series = {name: Spread.of(values) for name, values in found.items()}
    return Outcome(
        title="Beats handled per second (picows: echoed)",
        unit="1/s",
        better=HIGHER,
        series=series,
        checks=[
            check(
                "beats handled against bare picows echo",
                series[OURS].median / series[PICOWS].median,
                "×",
                better=HIGHER,
                bar=1,
                aim=1.3,
            )
        ],
        details={
            "connections": connections,
            "bytes": len(BEAT),
            "records_handed_on": handed_on,
            "records_dropped": dropped,
        },
    )

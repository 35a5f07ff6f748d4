"""User memory of an idle connection: growth of the server's resident memory from few to many."""

from bench.lab import Lab, Ours, Theirs, ours, theirs
from bench.load.client import ON_BOTH, ON_NETWORK
from bench.measure import Spread, memory, settled
from bench.others import PICOWS
from bench.outcome import LOWER, OURS, Outcome, check

BOTH = f"{OURS}, both channels"


async def run(lab: Lab) -> Outcome:
    """Ours authenticated and subscribed; others bare."""
    few, many = lab.pick((100, 600), (1_000, 18_000))
    few_there, many_there = lab.pick((100, 400), (1_000, 6_000))
    # Others' figures are far apart and hardly differ from round to round: one is enough.
    rounds = lab.pick(1, 2)
    names = lab.peers(PICOWS, "websockets", "aiohttp", "µWebSockets") if lab.size != "short" else [PICOWS]
    found: dict[str, list[float]] = {name: [] for name in (OURS, BOTH, *names)}
    for number in range(rounds):
        for name in lab.shuffled([OURS, BOTH] if number else list(found)):
            if name == OURS:
                async with ours(many, ON_NETWORK) as system:
                    found[name].append(await _growth(system, few, many))
            elif name == BOTH:
                async with ours(many, ON_BOTH) as system:
                    found[name].append(await _growth(system, few, many))
            else:
                async with theirs(name, many_there) as system:
                    found[name].append(await _growth(system, few_there, many_there))
            lab.say(f"{name}: {found[name][-1]:,.0f} B a connection")
    series = {name: Spread.of(values) for name, values in found.items()}
    return Outcome(
        title="User memory per idle connection",
        unit="B",
        better=LOWER,
        series=series,
        checks=[
            check(
                f"user memory per idle, authenticated, subscribed connection, {few:,} to {many:,}",
                series[OURS].median,
                "B",
                better=LOWER,
                bar=2000,
                aim=460,
            )
        ],
        details={"ours": [few, many], "theirs": [few_there, many_there]},
    )


async def _growth(system: Ours | Theirs, few: int, many: int) -> float:
    await system.client.open(few)
    await settled([system.pid])
    before = memory(system.pid)
    await system.client.open(many)
    await settled([system.pid])
    return (memory(system.pid).rss - before.rss) / (many - few)

"""What the nodes of a fleet do in the time of a run. Each role is the script of one node.

Times are seconds since the beginning of the run. Workers: "a" stays, "b" is killed, "c" is drained.
"""

import asyncio
from collections.abc import Callable

from support.fleet.line import Respond
from support.fleet.node import FleetNode
from support.fleet.stage import Stage
from support.fleet.truth import Miss

# The protocol's greatest byte count, and what is no count at all.
MOST_BYTES = 1 << 50
ABSURD = (-1, -MOST_BYTES, MOST_BYTES + 1, 1 << 62)


# --- honest nodes -------------------------------------------------------------------------------


async def steady(node: FleetNode, stage: Stage, worker: str = "a") -> None:
    """Be there from the beginning to the end."""
    await node.connect(stage.port(worker))
    await stage.curtain()


async def joins_late(node: FleetNode, stage: Stage, first: float, last: float) -> None:
    """Come in the middle, and stay."""
    await stage.at(node.rng.uniform(first, last))
    await node.connect(stage.port("a"))
    await stage.curtain()


async def drops_early(node: FleetNode, stage: Stage, first: float, last: float) -> None:
    """Go in the middle, with or without a word, and stay away."""
    line = await node.connect(stage.port("a"))
    await stage.at(node.rng.uniform(first, last))
    await (line.leave() if node.rng.random() < 0.5 else line.vanish())


async def flaps(node: FleetNode, stage: Stage, pauses: list[float]) -> None:
    """Go and come back again and again, away for each of `pauses`."""
    stay = (stage.length - sum(pauses)) / (len(pauses) + 1) - 1.0
    for pause in pauses:
        line = await node.connect(stage.port("a"))
        await asyncio.sleep(stay)
        await (line.leave() if node.rng.random() < 0.5 else line.vanish())
        await asyncio.sleep(pause)
    await node.connect(stage.port("a"))
    await stage.curtain()


async def restarts(node: FleetNode, stage: Stage) -> None:
    """Die, and start anew with the same key, a fresh token and a newer version."""
    line = await node.connect(stage.port("a"))
    await stage.at(stage.length * node.rng.uniform(0.3, 0.6))
    await line.vanish()
    node.version = f"2.{node.version}"
    await node.renew_token()
    await node.connect(stage.port("a"))
    await stage.curtain()


async def overlaps(node: FleetNode, stage: Stage, *, older_ends_first: bool) -> None:
    """Hold two connections for a while, one on each of two workers."""
    older = await node.connect(stage.port("a"))
    await stage.at(stage.length * 0.3)
    newer = await node.connect(stage.port("c"))
    await stage.at(stage.length * 0.6)
    await (older if older_ends_first else newer).leave()
    await stage.curtain()


async def dozes(node: FleetNode, stage: Stage) -> None:
    """Miss a challenge now and then."""
    await node.connect(stage.port("a"), node.now_and_then(node.never, every=node.rng.randrange(3, 6)))
    await stage.curtain()


async def errs(node: FleetNode, stage: Stage) -> None:
    """Sign wrong now and then."""
    await node.connect(
        stage.port("a"), node.now_and_then(node.with_a_wrong_key, every=node.rng.randrange(3, 6))
    )
    await stage.curtain()


async def stutters(node: FleetNode, stage: Stage) -> None:
    """Give every fourth answer twice."""
    await node.connect(stage.port("a"), node.now_and_then(node.twice, every=4))
    await stage.curtain()


async def blinks(node: FleetNode, stage: Stage) -> None:
    """Come and go within a moment, once with and once without an answer."""
    line = await node.connect(stage.port("a"), node.never)
    await line.leave()
    await stage.at(stage.length * 0.5)
    line = await node.connect(stage.port("a"))
    await asyncio.sleep(1.0)
    await line.leave()


# --- nodes to which something happens -----------------------------------------------------------


async def survives_a_kill(node: FleetNode, stage: Stage, after: float | None) -> None:
    """Lose the worker, and come back to another `after` seconds later; None: never."""
    line = await node.connect(stage.port("b"))
    await line.ended(stage.rest)
    if after is not None:
        await asyncio.sleep(after)
        await node.connect(stage.port("a"))
        await stage.curtain()


async def is_drained(node: FleetNode, stage: Stage, *, obeys: bool, after: float | None) -> None:
    """Leave when the server asks for it, or wait to be sent away; come back `after` seconds late."""
    line = await node.connect(stage.port("c"))
    told = await line.told_to_leave(stage.rest)
    if obeys:
        await line.leave()
        await asyncio.sleep(told)
    else:
        await line.ended(stage.rest)
    if after is not None:
        await asyncio.sleep(after)
        await node.connect(stage.port("a"))
        await stage.curtain()


async def fails_last(node: FleetNode, stage: Stage, at: float) -> None:
    """Err with every other answer, and leave when asked to right after an error.

    One error at a time leaves the node in good standing; still it has earned nothing since its last answer.
    It comes late, as ten errors end a connection.
    """
    await stage.at(at)
    line = await node.connect(stage.port("c"), node.now_and_then(node.with_a_wrong_key, every=2))
    told = await line.told_to_leave(stage.rest)
    await line.marked(Miss)
    await line.leave()
    await asyncio.sleep(told)
    await node.connect(stage.port("a"))
    await stage.curtain()


async def just_came(node: FleetNode, stage: Stage, at: float) -> None:
    """Come right before the worker ends, be asked to leave before there was time to answer, and go on."""
    await stage.at(at)
    line = await node.connect(stage.port("c"), node.never)
    told = await line.told_to_leave(stage.rest)
    await line.leave()
    await asyncio.sleep(told)
    await node.connect(stage.port("a"))
    await stage.curtain()


# --- cheats -------------------------------------------------------------------------------------


async def never_answers(node: FleetNode, stage: Stage) -> None:
    """Be connected, and that is all."""
    await node.connect(stage.port("a"), node.never)
    await stage.curtain()


async def forges(node: FleetNode, stage: Stage) -> None:
    """Sign with another key."""
    await _insist(node, stage, lambda: node.with_a_wrong_key)


async def is_late(node: FleetNode, stage: Stage) -> None:
    """Answer after the deadline."""
    await _insist(node, stage, lambda: node.too_late)


async def replays(node: FleetNode, stage: Stage) -> None:
    """Send one answer again and again."""
    await _insist(node, stage, node.replaying)


async def answers_for_another(node: FleetNode, stage: Stage) -> None:
    """Have another node of the fleet sign."""
    other = next(other for other in stage.nodes if other is not node)
    await _insist(node, stage, lambda: node.by(other))


async def answers_elsewhere(node: FleetNode, stage: Stage) -> None:
    """Answer on a second connection what the first was asked."""
    nonces: list[bytes] = []
    first = await node.connect(stage.port("a"), node.seen(node.never, nonces))
    await node.connect(stage.port("c"), node.with_the_nonces_of(first, nonces))
    await stage.curtain()


async def is_in_two_places(node: FleetNode, stage: Stage, elsewhere: str) -> None:
    """Use the key on two machines at once, far from each other."""
    await node.connect(stage.port("a"))
    await node.connect(stage.port("c"), address=elsewhere)
    await stage.curtain()


async def boasts(node: FleetNode, stage: Stage) -> None:
    """Claim absurd bytes, some of them beyond what can be said."""
    line = await node.connect(stage.port("a"), node.never)
    for number, count in enumerate(ABSURD):
        await stage.at(2.0 + number)
        line.boast(count, 0)
        line.boast(0, MOST_BYTES)
    await stage.curtain()


async def hopes_for_a_pause(node: FleetNode, stage: Stage, worker: str) -> None:
    """Answer once, fail from then on, and come back in time when the worker ends."""
    line = await node.connect(stage.port(worker), node.then(honest=1, other=node.never))
    await line.ended(stage.rest)
    await node.connect(stage.port("a"))
    await stage.curtain()


async def _insist(node: FleetNode, stage: Stage, respond: Callable[[], Respond]) -> None:
    """Cheat, and again when sent away for it."""
    while True:
        line = await node.connect(stage.port("a"), respond())
        ended = asyncio.create_task(line.ended(stage.rest))
        curtain = asyncio.create_task(stage.curtain())
        await asyncio.wait({ended, curtain}, return_when=asyncio.FIRST_COMPLETED)
        if curtain.done():
            ended.cancel()
            return
        curtain.cancel()
        await ended

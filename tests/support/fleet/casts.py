"""Who plays in a fleet: how many of each role, from which addresses."""

import random
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from msgspec import Struct
from support.fleet import roles
from support.fleet.node import FleetNode
from support.fleet.stage import Stage

Script = Callable[[FleetNode, Stage], Coroutine[Any, Any, None]]


class Part(Struct, frozen=True, kw_only=True):
    """One node's part: its role's name and script, and whether it is a cheat.

    `shared`: all such nodes have one address. `gate`: the rule that holds it down, and the quarters of its
    score that are left.
    """

    role: str
    script: Script
    cheat: bool = False
    shared: bool = False
    gate: tuple[str, int] | None = None


def calm(length: float, window: float) -> list[Part]:
    """A day without faults, in `length` seconds; `window` is the resume window."""
    return [
        *_parts(4, "steady", roles.steady),
        *_parts(2, "shared", roles.steady, shared=True, gate=("shared_address", 1)),
        *_parts(3, "late", partial(roles.joins_late, first=2.0, last=length * 0.6)),
        *_parts(4, "early", partial(roles.drops_early, first=3.0, last=length * 0.7)),
        *_parts(2, "flapping", partial(roles.flaps, pauses=[1.0, 1.0, 1.5, 1.0])),
        *_parts(2, "away", partial(roles.flaps, pauses=[window + 2.0])),
        *_parts(3, "restarting", roles.restarts),
        *_parts(2, "moving", partial(roles.overlaps, older_ends_first=True)),
        *_parts(2, "doubled", partial(roles.overlaps, older_ends_first=False)),
        *_parts(3, "dozing", roles.dozes),
        *_parts(2, "erring", roles.errs),
        *_parts(2, "stuttering", roles.stutters),
        *_parts(2, "blinking", roles.blinks),
        *_cheats(),
        *_parts(2, "replaying", roles.replays, cheat=True),
        *_parts(1, "answering elsewhere", roles.answers_elsewhere, cheat=True),
        *_parts(1, "answered by another", roles.answers_for_another, cheat=True),
        *_parts(1, "boasting", roles.boasts, cheat=True),
        *_parts(
            1,
            "in two places",
            partial(roles.is_in_two_places, elsewhere="45.83.91.7"),
            gate=("two_places", 0),
        ),
    ]


def stormy(length: float, window: float, lease: float, drain: float) -> list[Part]:
    """A fleet that meets faults; `lease` is that of the processes, `drain` when worker "c" is to end."""
    return [
        *_parts(3, "steady", roles.steady),
        *_parts(3, "killed, soon back", partial(roles.survives_a_kill, after=1.0)),
        *_parts(3, "killed, back in time", partial(roles.survives_a_kill, after=window - 2.5)),
        # Its worker's death is noticed six leases after it at the latest.
        *_parts(2, "killed, back too late", partial(roles.survives_a_kill, after=window + 6 * lease + 2.0)),
        *_parts(2, "killed, gone", partial(roles.survives_a_kill, after=None)),
        *_parts(3, "drained", partial(roles.is_drained, obeys=True, after=0.5)),
        *_parts(2, "drained, waiting", partial(roles.is_drained, obeys=False, after=1.0)),
        *_parts(1, "drained, back too late", partial(roles.is_drained, obeys=True, after=window + 2.0)),
        *_parts(1, "drained, gone", partial(roles.is_drained, obeys=True, after=None)),
        *_parts(3, "drained, failing", partial(roles.fails_last, at=drain - 7.0)),
        *_parts(2, "drained, just come", partial(roles.just_came, at=drain - 1.2)),
        *_parts(4, "late", partial(roles.joins_late, first=2.0, last=length * 0.8)),
        *_parts(4, "early", partial(roles.drops_early, first=3.0, last=length * 0.8)),
        *_parts(3, "flapping", partial(roles.flaps, pauses=[1.5, 2.0, 1.0, 1.5, 2.0])),
        *_parts(2, "away", partial(roles.flaps, pauses=[window + 2.0])),
        *_parts(2, "dozing", roles.dozes),
        *_cheats(),
        *_parts(2, "hoping for a kill", partial(roles.hopes_for_a_pause, worker="b"), cheat=True),
        *_parts(2, "hoping for a drain", partial(roles.hopes_for_a_pause, worker="c"), cheat=True),
    ]


def nodes_of(
    parts: list[Part], rng: random.Random, network: str, challenge_timeout: float
) -> list[FleetNode]:
    """A node for each part, each in a subnet of its own below `network` ("5.10") unless it shares one."""
    return [
        FleetNode(
            part.role,
            f"{network}.250.9" if part.shared else f"{network}.{number}.9",
            rng=random.Random(rng.random()),
            challenge_timeout=challenge_timeout,
        )
        for number, part in enumerate(parts)
    ]


def _cheats() -> list[Part]:
    return [
        *_parts(2, "silent", roles.never_answers, cheat=True),
        *_parts(2, "forging", roles.forges, cheat=True, gate=("failing_challenges", 0)),
        *_parts(1, "answering late", roles.is_late, cheat=True),
    ]


def _parts(
    count: int,
    role: str,
    script: Script,
    *,
    cheat: bool = False,
    shared: bool = False,
    gate: tuple[str, int] | None = None,
) -> list[Part]:
    return [Part(role=role, script=script, cheat=cheat, shared=shared, gate=gate) for _ in range(count)]

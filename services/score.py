"""A node's score, explained: every number that it was made from, and what each comes to in words."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from core.errors import NotFound
from services.access import names_of
from services.reasons import reason, shown
from services.tokens import Principal
from storage.base import (
    ComponentName,
    NodeScore,
    NodeStore,
    RuleGate,
    ScoreFormula,
    ScoreParameters,
    ScoreStore,
)
from storage.rtt import EDGES_MS
from storage.scores import POINTS, QUARTERS, base_of, gated

COMPONENTS: tuple[ComponentName, ...] = ("uptime", "latency", "challenges", "contribution")

_Inputs = dict[str, int | None]

# From so many points on.
_WORDS = ((9500, "very good"), (8000, "good"), (6000, "fair"), (3000, "slow"), (0, "very slow"))
_SIGNS = {0: "×0", 1: "×¼", QUARTERS: "×1"}
_ADVICE: dict[ComponentName, str] = {
    "uptime": "staying online without pauses",
    "latency": "a connection with shorter round trips",
    "challenges": "answering every challenge",
    "contribution": "moving more bytes",
}


class Component(Struct, frozen=True, kw_only=True):
    """A part of a score: 0 to 10,000 `points`, null if not measured, with a `weight` in parts of 10,000.

    `could_add` is by how much the score would be higher with all points; null while there is no score.
    """

    name: ComponentName
    points: int | None
    weight: int
    inputs: dict[str, int | None]
    could_add: int | None
    sentence: str


class Gate(Struct, frozen=True, kw_only=True):
    """What can hold a score down: to so many `quarters`, 0, 1 or 4; null: not measured, hence not applied.

    `facts` are what was found.
    """

    name: str
    quarters: int | None
    facts: dict[str, Any]
    sentence: str


class Score(Struct, frozen=True, kw_only=True):
    """A node's score, 0 to 10,000, as it was computed last; null: not measured.

    It is `base`, the sum of the components by weight, times `quarters` of 4, the least of the gates. Before
    the first computation after its enrolment a node has no formula, time, components or gates.
    """

    node_id: UUID
    score: int | None
    base: int | None
    quarters: int
    components: list[Component]
    gates: list[Gate]
    sentence: str
    advice: str
    window_seconds: int | None
    formula_version: int | None
    computed_at: datetime | None


class Scores:
    """The scores of all nodes."""

    def __init__(self, scores: ScoreStore, nodes: NodeStore) -> None:
        self._scores = scores
        self._nodes = nodes
        # A version never changes.
        self._known: dict[int, ScoreFormula] = {}

    async def formulas(self) -> list[ScoreFormula]:
        """All versions of the formula, the oldest first; the last is in use."""
        return await self._scores.formulas()

    async def recompute(self, at: datetime) -> int:
        """Compute the scores of all nodes by the newest formula, as of `at`; returns how many there are."""
        return await self._scores.recompute(at, (await self._scores.formulas())[-1])

    async def of_node(self, principal: Principal, node_id: UUID) -> Score:
        """The score of a node, for its owner and the staff.

        Raises:
            NotFound: "node_not_found", also for somebody else's.
        """
        node = await self._nodes.by_id(node_id)
        if node is None or (node.user_id != principal.user_id and "support" not in names_of(principal)):
            raise NotFound("node_not_found", "You have no node with this id.")
        found = await self._scores.of_node(node.user_id, node_id)
        if found is None:
            return _nothing_yet(node_id)
        return explain(node_id, found, await self._formula(found.formula))

    async def _formula(self, version: int) -> ScoreFormula:
        if version not in self._known:
            self._known = {formula.version: formula for formula in await self._scores.formulas()}
        return self._known[version]


def explain(node_id: UUID, found: NodeScore, formula: ScoreFormula) -> Score:
    """A computed score with all that it was made from, by the formula that made it."""
    parameters = formula.parameters
    components = [_component(name, found, parameters) for name in COMPONENTS]
    return Score(
        node_id=node_id,
        score=found.score,
        base=found.base,
        quarters=found.gate,
        components=components,
        gates=_gates(found),
        sentence=_sentence(found, components),
        advice=_advice(found, components),
        window_seconds=found.window_seconds,
        formula_version=formula.version,
        computed_at=found.computed_at,
    )


def _nothing_yet(node_id: UUID) -> Score:
    return Score(
        node_id=node_id,
        score=None,
        base=None,
        quarters=QUARTERS,
        components=[],
        gates=[],
        sentence="Not measured: the scores were not computed since this node was enrolled.",
        advice="Keep it online: it is part of the next computation.",
        window_seconds=None,
        formula_version=None,
        computed_at=None,
    )


def _component(name: ComponentName, found: NodeScore, parameters: ScoreParameters) -> Component:
    describe = {
        "uptime": _uptime,
        "latency": _latency,
        "challenges": _challenges,
        "contribution": _contribution,
    }
    inputs, sentence = describe[name](found, parameters)
    return Component(
        name=name,
        points=getattr(found, name),
        weight=getattr(parameters.weights, name),
        inputs=inputs,
        could_add=_could_add(name, found, parameters),
        sentence=sentence,
    )


def _could_add(name: ComponentName, found: NodeScore, parameters: ScoreParameters) -> int | None:
    points = {each: getattr(found, each) for each in COMPONENTS} | {name: POINTS}
    best = gated(base_of(parameters, **points), found.gate)
    return None if best is None or found.score is None else best - found.score


def _uptime(found: NodeScore, parameters: ScoreParameters) -> tuple[_Inputs, str]:
    inputs: _Inputs = {
        "confirmed_seconds": found.confirmed_seconds,
        "window_seconds": found.window_seconds,
        "least_window_seconds": parameters.least_window_seconds,
    }
    window = _duration(found.window_seconds)
    if found.uptime is None:
        least = _duration(parameters.least_window_seconds)
        return inputs, f"Not measured: the node has been enrolled for {window}, {least} are needed."
    if found.uptime == POINTS:
        return inputs, f"Confirmed online for all of {window}."
    confirmed = _duration(found.confirmed_seconds)
    return inputs, f"Confirmed online for {confirmed} of {window}: {_percent(found.uptime)}."


def _latency(found: NodeScore, parameters: ScoreParameters) -> tuple[_Inputs, str]:
    inputs: _Inputs = {
        "samples": found.samples,
        "median_ms": found.median_ms,
        "least_samples": parameters.least_samples,
    }
    if found.latency is None or found.median_ms is None:
        least = parameters.least_samples
        return inputs, f"Not measured: {found.samples} round trips so far, {least} are needed."
    slowest = found.median_ms > EDGES_MS[-1]
    median = f"more than {EDGES_MS[-1]} ms" if slowest else f"at most {found.median_ms} ms"
    word = next(word for points, word in _WORDS if found.latency >= points)
    return inputs, f"The median round trip is {median}: {word}."


def _challenges(found: NodeScore, parameters: ScoreParameters) -> tuple[_Inputs, str]:
    inputs: _Inputs = {
        "answered": found.answered,
        "missed": found.missed,
        "refused": found.refused,
        "least_challenges": parameters.least_challenges,
    }
    asked = found.answered + found.missed + found.refused
    if found.challenges is None:
        least = parameters.least_challenges
        return inputs, f"Not measured: {asked} challenges so far, {least} are needed."
    failed = f"{found.missed} missed, {found.refused} refused"
    return (
        inputs,
        f"Answered {found.answered} of {asked} challenges ({failed}): {_percent(found.challenges)}.",
    )


def _contribution(found: NodeScore, parameters: ScoreParameters) -> tuple[_Inputs, str]:
    inputs: _Inputs = {"bytes": found.bytes, "target_bytes": found.target_bytes}
    moved, target = _bytes(found.bytes), _bytes(found.target_bytes)
    return inputs, f"Moved {moved}; all points need {target}: {_percent(found.contribution)}."


def _gates(found: NodeScore) -> list[Gate]:
    """Every flag that holds the score down, and what else could but does not."""
    raised = [
        Gate(name=gate.rule, quarters=gate.quarters, facts=shown(gate.evidence), sentence=_held(gate))
        for gate in found.gates
    ]
    public, located = found.public, found.located
    hidden = "Not measured: the address is private, reserved or not known. Not applied."
    standing = (
        ("shared_address", public, "Nothing is held against the node's address: ×1.", hidden),
        ("address_class", public, "The address is a public one: ×1.", hidden),
        (
            "impossible_travel",
            located,
            "Nothing is held against the node's places: ×1.",
            "Not measured: it is not known where the node is. Not applied.",
        ),
    )
    names = {gate.name for gate in raised}
    return raised + [
        Gate(name=name, quarters=QUARTERS if good else None, facts={}, sentence=well if good else unknown)
        for name, good, well, unknown in standing
        if name not in names
    ]


def _sentence(found: NodeScore, components: Sequence[Component]) -> str:
    if found.score is None:
        missing = " and ".join(each.name for each in components if each.points is None)
        return f"Not measured: there is too little to go by for {missing}."
    if found.gate == QUARTERS:
        return f"The score is {found.score} of {POINTS}."
    return f"The score is {found.score} of {POINTS}: {found.base} {_SIGNS[found.gate]}."


def _advice(found: NodeScore, components: Sequence[Component]) -> str:
    """What would raise the score most."""
    if found.score is None or found.base is None:
        return "Keep the node online: what is missing gets measured by itself."
    ranked = sorted(components, key=lambda each: each.could_add or 0, reverse=True)
    gain, best = ranked[0].could_add or 0, ranked[0]
    held = found.base - found.score
    if found.gates and held >= gain:
        cause = reason(found.gates[0].rule, found.gates[0].evidence)
        return f"Most would be gained by ending what holds the score down (up to +{held}): {cause}"
    if gain > 0:
        return f"Most would be gained by {_ADVICE[best.name]} (up to +{gain})."
    return "There is nothing to gain: it is as good as it gets."


def _held(gate: RuleGate) -> str:
    return f"{reason(gate.rule, gate.evidence).removesuffix('.')}: {_SIGNS[gate.quarters]}."


def _percent(points: int) -> str:
    return f"{points // 100}.{points % 100:02} %"


def _duration(seconds: int) -> str:
    """As two units at most."""
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _bytes(count: int) -> str:
    """In the greatest unit of which there is one, to a tenth, rounded down."""
    for exponent, unit in ((60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >> exponent:
            tenths = (count * 10) >> exponent
            return f"{tenths // 10}.{tenths % 10} {unit}"
    return f"{count} B"

"""The score of every node, with everything that it was made from."""

from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from msgspec import Struct

ComponentName = Literal["uptime", "latency", "challenges", "contribution"]


class Weights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each component weighs, in parts of 10,000; together they are 10,000."""

    uptime: int
    latency: int
    challenges: int
    contribution: int


class LatencyBand(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A median round trip of up to so many milliseconds has these points; None: any."""

    up_to_ms: int | None
    points: int


class ScoreParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of a formula; `storage.scores` has the arithmetic.

    `required` components must have been measured, or the score is not. The window is the current hour
    and the `window_hours` before it, 1 to 24, without its newest `settle_seconds`: those may not have been
    reported yet. It must have `least_window_seconds`, the histogram `least_samples` round trips, and
    `least_challenges` must have been asked, all at least 1. `latency_bands` ascend, and the last takes any.
    `target_bytes`, up to 10^14, are those of `window_hours` that have all points.
    """

    weights: Weights
    required: list[ComponentName]
    window_hours: int
    settle_seconds: int
    least_window_seconds: int
    least_samples: int
    least_challenges: int
    latency_bands: list[LatencyBand]
    target_bytes: int


class ScoreFormula(Struct, frozen=True, kw_only=True):
    """A version of the formula. It never changes: what is better gets the next number."""

    version: int
    created_at: datetime
    parameters: ScoreParameters


class RuleGate(Struct, frozen=True, kw_only=True):
    """A rule that holds a node's score down to so many quarters, 0 or 1, with its flag's `evidence`."""

    rule: str
    quarters: int
    evidence: dict[str, Any]


class NodeScore(Struct, frozen=True, kw_only=True):
    """A node's score as it was computed, and from what.

    `score`, `base` (without gates) and the components are 0 to 10,000, None: not measured. `gate` is the
    least of `gates`, 4 without any. `public`: the node's newest address is a public one; `located`: it is
    known where that is.
    """

    formula: int
    computed_at: datetime
    score: int | None
    base: int | None
    gate: int
    uptime: int | None
    latency: int | None
    challenges: int | None
    contribution: int
    confirmed_seconds: int
    window_seconds: int
    samples: int
    median_ms: int | None
    answered: int
    missed: int
    refused: int
    bytes: int
    target_bytes: int
    public: bool
    located: bool
    gates: list[RuleGate]


class ScoreStore(Protocol):
    """The newest score of every node, and every formula there was.

    All scores come from one computation: whoever reads has those of one moment, and none while there was
    no computation yet. Those of an erased account's nodes are gone with it.
    """

    async def formulas(self) -> list[ScoreFormula]:
        """All versions, the oldest first; there is at least one."""
        ...

    async def recompute(self, at: datetime, formula: ScoreFormula) -> int:
        """Compute the scores of all nodes anew, as of `at`; returns how many there are.

        Those of nodes that were retired are forgotten. Readers have the former scores until it is done.
        """
        ...

    async def of_node(self, user_id: UUID, node_id: UUID) -> NodeScore | None:
        """A node's newest score; None before the first computation after its enrolment."""
        ...

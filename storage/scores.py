"""The arithmetic of the score, apart from any store.

Whole numbers only, every division rounded down (``//``). The components are 0 to 10,000::

    uptime       = min(10000, confirmed * 10000 // window)
    latency      = the points of the first band that takes the median round trip
    challenges   = answered * 10000 // (answered + missed + refused)
    contribution = min(bytes, target) * 10000 // target
    base         = (uptime*w1 + latency*w2 + challenges*w3 + contribution*w4) // 10000
    score        = base * gate // 4

``gate`` is the least gate in quarters, 4 without any. The median is the upper edge of its bucket
(`storage.rtt`), hence "at most". A component with too little to go by is not measured (None): then the base
and the score are not measured either if the formula requires it; otherwise it counts as 0. No bytes are a
contribution of 0, which is measured. The SQL of the PostgreSQL adapter says the same.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from storage.base import LatencyBand, RuleGate, ScoreFormula, ScoreParameters, Weights
from storage.rtt import BUCKETS, EDGES_MS
from storage.uptime import HOUR_S, HourSums

POINTS = 10_000
QUARTERS = 4

# What a node's claims of an hour count as at most: the sum of a window stays a 64-bit number.
BYTES_MOST = 1 << 57

#: What a median in each bucket is told as.
BUCKET_MS = (*EDGES_MS, 2 * EDGES_MS[-1])

#: The formula that every database begins with.
FIRST_FORMULA = ScoreFormula(
    version=1,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    parameters=ScoreParameters(
        weights=Weights(uptime=3500, latency=2500, challenges=2500, contribution=1500),
        required=["uptime", "latency", "challenges"],
        window_hours=24,
        settle_seconds=120,
        least_window_seconds=3600,
        least_samples=10,
        least_challenges=10,
        latency_bands=[
            LatencyBand(up_to_ms=40, points=10_000),
            LatencyBand(up_to_ms=90, points=8500),
            LatencyBand(up_to_ms=200, points=6500),
            LatencyBand(up_to_ms=450, points=3500),
            LatencyBand(up_to_ms=None, points=1000),
        ],
        target_bytes=1 << 30,
    ),
)


class Window(Struct, frozen=True):
    """Hours since the epoch, both included, and the second since the epoch at which it ends."""

    first_hour: int
    last_hour: int
    end_s: int

    def seconds(self, enrolled_s: int) -> int:
        """How long a node that was enrolled at `enrolled_s` can have been online in it."""
        return max(0, self.end_s - max(self.first_hour * HOUR_S, enrolled_s))


class Sums(Struct):
    """What was counted of a node in a window."""

    confirmed: int
    bytes: int
    answered: int
    missed: int
    refused: int
    rtt: list[int]


class Points(Struct, frozen=True, kw_only=True):
    """What the formula makes of a node's sums; the fields are those of `NodeScore`."""

    score: int | None
    base: int | None
    gate: int
    uptime: int | None
    latency: int | None
    challenges: int | None
    contribution: int
    samples: int
    median_ms: int | None
    target_bytes: int


def window_of(at: datetime, parameters: ScoreParameters) -> Window:
    """The window of scores computed at `at`."""
    at_s = int(at.timestamp())
    last = at_s // HOUR_S
    return Window(last - parameters.window_hours, last, at_s - parameters.settle_seconds)


def add_hours(hours: Iterable[HourSums]) -> Sums:
    """The sums of a node's hours."""
    sums = Sums(0, 0, 0, 0, 0, [0] * BUCKETS)
    for hour in hours:
        sums.confirmed += hour.seconds
        sums.bytes += min(hour.bytes_up, BYTES_MOST) + min(hour.bytes_down, BYTES_MOST)
        sums.answered += hour.answered
        sums.missed += hour.missed
        sums.refused += hour.refused
        sums.rtt = [total + count for total, count in zip(sums.rtt, hour.rtt, strict=True)]
    return sums


def bucket_points(parameters: ScoreParameters) -> list[int]:
    """The points of a median in each bucket."""
    return [
        next(
            band.points for band in parameters.latency_bands if band.up_to_ms is None or edge <= band.up_to_ms
        )
        for edge in BUCKET_MS
    ]


def compute(
    parameters: ScoreParameters, sums: Sums, window_seconds: int, gates: Sequence[RuleGate]
) -> Points:
    """The score of a node with these sums in so many seconds."""
    samples, asked = sum(sums.rtt), sums.answered + sums.missed + sums.refused
    bucket = _median_bucket(sums.rtt)
    uptime = latency = challenges = None
    if window_seconds >= parameters.least_window_seconds:
        uptime = min(POINTS, sums.confirmed * POINTS // window_seconds)
    if bucket is not None and samples >= parameters.least_samples:
        latency = bucket_points(parameters)[bucket]
    if asked >= parameters.least_challenges:
        challenges = sums.answered * POINTS // asked
    target = (
        parameters.target_bytes
        * max(window_seconds, parameters.least_window_seconds)
        // (parameters.window_hours * HOUR_S)
    )
    contribution = min(sums.bytes, target) * POINTS // target
    gate = min((gate.quarters for gate in gates), default=QUARTERS)
    base = base_of(parameters, uptime, latency, challenges, contribution)
    return Points(
        score=gated(base, gate),
        base=base,
        gate=gate,
        uptime=uptime,
        latency=latency,
        challenges=challenges,
        contribution=contribution,
        samples=samples,
        median_ms=None if bucket is None else BUCKET_MS[bucket],
        target_bytes=target,
    )


def base_of(
    parameters: ScoreParameters,
    uptime: int | None,
    latency: int | None,
    challenges: int | None,
    contribution: int | None,
) -> int | None:
    """What the components weigh together; None if one that is required was not measured."""
    total = 0
    for name, points in (
        ("uptime", uptime),
        ("latency", latency),
        ("challenges", challenges),
        ("contribution", contribution),
    ):
        if points is None and name in parameters.required:
            return None
        total += (points or 0) * getattr(parameters.weights, name)
    return total // POINTS


def gated(base: int | None, gate: int) -> int | None:
    """What a gate of so many quarters leaves of `base`."""
    return None if base is None else base * gate // QUARTERS


def _median_bucket(counts: Sequence[int]) -> int | None:
    """The bucket of the median by the nearest rank; None without samples."""
    rank, seen = (sum(counts) + 1) // 2, 0
    for index, count in enumerate(counts):
        seen += count
        if rank and seen >= rank:
            return index
    return None

"""The arithmetic of the score at its edges."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from storage.base import RuleGate
from storage.rtt import BUCKETS, MOST, percentile
from storage.scores import (
    BUCKET_MS,
    FIRST_FORMULA,
    Sums,
    Window,
    add_hours,
    base_of,
    bucket_points,
    compute,
    gated,
    window_of,
)
from storage.uptime import HOUR_S, HourSums

PARAMETERS = FIRST_FORMULA.parameters
counts = st.lists(st.integers(0, 25 * MOST), min_size=BUCKETS, max_size=BUCKETS)


def test_the_first_formula_is_sound() -> None:
    assert sum(asdict(PARAMETERS.weights).values()) == 10_000
    edges = [band.up_to_ms for band in PARAMETERS.latency_bands]
    assert edges[-1] is None
    # A band that ends within a bucket would judge by what was not measured.
    assert set(edges[:-1]) <= set(BUCKET_MS)
    points = bucket_points(PARAMETERS)
    assert points == sorted(points, reverse=True)
    assert (points[0], points[-1]) == (10_000, 1000)


def test_the_window_is_the_hour_that_runs_and_those_before_it() -> None:
    at = datetime(1970, 1, 3, 2, 30, 5, 999_999, tzinfo=UTC)
    window = window_of(at, PARAMETERS)
    assert window == Window(first_hour=26, last_hour=50, end_s=50 * HOUR_S + 1805 - 120)
    assert window.seconds(0) == 24 * HOUR_S + 1685
    assert window.seconds(26 * HOUR_S + 1) == 24 * HOUR_S + 1684
    assert window.seconds(window.end_s) == 0
    assert window.seconds(window.end_s + 1) == 0
    just_begun = window_of(datetime(1970, 1, 3, 2, tzinfo=UTC), PARAMETERS)
    assert just_begun.seconds(0) == 24 * HOUR_S - 120
    assert window_of(at - timedelta(hours=1), PARAMETERS).first_hour == 25


@pytest.mark.parametrize(
    ("confirmed", "window", "points"),
    [
        (0, 3599, None),
        (0, 3600, 0),
        (3599, 3600, 9997),
        (3600, 3600, 10_000),
        (90_000, 86_400, 10_000),
        (1, 86_400, 0),
        (9, 86_400, 1),
    ],
)
def test_uptime_is_rounded_down_and_never_more_than_all(
    confirmed: int, window: int, points: int | None
) -> None:
    sums = Sums(confirmed, 0, 0, 0, 0, [0] * BUCKETS)
    assert compute(PARAMETERS, sums, window, []).uptime == points


@given(counts)
def test_the_median_is_the_percentile_of_the_histogram(rtt: list[int]) -> None:
    assert compute(PARAMETERS, Sums(0, 0, 0, 0, 0, rtt), 3600, []).median_ms == percentile(rtt, 50)


@given(
    rtt=counts,
    confirmed=st.integers(0, 90_000),
    moved=st.integers(0, 25 << 58),
    challenges=st.tuples(*[st.integers(0, 25 * 32_767)] * 3),
    window=st.integers(0, 90_000),
    quarters=st.lists(st.sampled_from([0, 1]), max_size=3),
)
def test_a_score_is_a_whole_number_within_its_bounds_or_not_measured(
    *,
    rtt: list[int],
    confirmed: int,
    moved: int,
    challenges: tuple[int, int, int],
    window: int,
    quarters: list[int],
) -> None:
    gates = [RuleGate(rule=f"r{number}", quarters=each, evidence={}) for number, each in enumerate(quarters)]
    points = compute(PARAMETERS, Sums(confirmed, moved, *challenges, rtt), window, gates)
    required = (points.uptime, points.latency, points.challenges)
    assert (points.score is None) == (points.base is None) == (None in required)
    for each in (points.score, points.base, *required, points.contribution):
        assert each is None or 0 <= each <= 10_000
    assert points.gate == min([4, *quarters])
    if points.base is not None:
        assert points.score == points.base * points.gate // 4


def test_a_component_that_is_not_required_counts_as_nothing() -> None:
    optional = replace(PARAMETERS, required=["uptime"])
    assert base_of(optional, 10_000, None, None, 0) == 3500
    assert base_of(PARAMETERS, 10_000, None, 10_000, 0) is None
    assert gated(None, 0) is None
    assert gated(9999, 1) == 2499


def test_hours_add_up() -> None:
    hours = [HourSums([(0, 10), (20, 30)], 1, 2, 0, 3, 4, 5, [index] * BUCKETS) for index in range(3)]
    assert add_hours(hours) == Sums(60, 9, 9, 12, 15, [3] * BUCKETS)
    assert add_hours([]) == Sums(0, 0, 0, 0, 0, [0] * BUCKETS)

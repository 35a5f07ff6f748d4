"""Distances, speeds, and what counts as a move."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.clock import new_id
from storage.base import Opened, Place
from storage.moves import EARTH_KM, distance, great_circle, move_of, too_fast
from storage.uptime import NodeState

HALF_WAY_ROUND = math.pi * EARTH_KM

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
points = st.tuples(latitudes, longitudes)


def by_vectors(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The same distance by the angle between two vectors, exact enough for far points."""

    def vector(point: tuple[float, float]) -> tuple[float, float, float]:
        latitude, longitude = map(math.radians, point)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    a, b = vector(one), vector(other)
    cross = math.dist(
        (0, 0, 0),
        (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]),
    )
    return EARTH_KM * math.atan2(cross, sum(x * y for x, y in zip(a, b, strict=True)))


@given(points, points)
def test_a_distance_is_that_of_the_angle_between_the_two(one, other) -> None:
    assert great_circle(*one, *other) == pytest.approx(by_vectors(one, other), abs=0.5)


@given(points, points)
def test_a_distance_is_the_same_both_ways_and_never_more_than_half_way_round(one, other) -> None:
    there = great_circle(*one, *other)
    assert there == pytest.approx(great_circle(*other, *one), abs=1e-6)
    assert 0 <= there <= HALF_WAY_ROUND + 1e-6


@given(points, points, points)
def test_no_detour_is_shorter(one, other, third) -> None:
    assert great_circle(*one, *other) <= great_circle(*one, *third) + great_circle(*third, *other) + 1e-3


@given(points)
def test_nothing_is_far_from_itself(point) -> None:
    assert great_circle(*point, *point) == 0


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((0, 0), (0, 180), 20_015),
        ((90, 0), (-90, 77), 20_015),
        ((0, 179.5), (0, -179.5), 111),
        # Over the pole, 30 degrees on either side; and a quarter of the way round.
        ((60, 0), (60, 180), 6_672),
        ((0, 0), (45, 90), 10_008),
        ((48.857, 2.352), (51.507, -0.128), 344),
    ],
)
def test_known_distances(one, other, km) -> None:
    first = Place(latitude=one[0], longitude=one[1], subnet="a")
    second = Place(latitude=other[0], longitude=other[1], subnet="b")
    assert distance(first, second) == pytest.approx(km, abs=3)


@pytest.mark.parametrize("lacking", ["latitude", "longitude"])
def test_without_coordinates_there_is_no_distance(lacking) -> None:
    known = Place(latitude=1.0, longitude=2.0)
    assert distance(known, replace(known, **{lacking: None})) is None
    assert distance(replace(known, **{lacking: None}), known) is None


@given(st.integers(0, 20_040), st.integers(0, 10**12), st.integers(1, 10**6))
def test_speed_is_compared_without_rounding(km, elapsed_ms, km_h) -> None:
    expected = km > 0 if elapsed_ms == 0 else km * 3_600_000 / elapsed_ms > km_h
    exact = elapsed_ms and km * 3_600_000 == km_h * elapsed_ms
    assert too_fast(km, elapsed_ms, km_h) == (expected and not exact)


def test_the_bound_itself_is_not_too_fast() -> None:
    assert not too_fast(1000, 3_600_000, 1000)
    assert too_fast(1000, 3_599_999, 1000)


def at_home(**changes) -> NodeState:
    home = Place(country="NL", latitude=52.0, longitude=5.0, subnet="198.51.100.0/24")
    facts = {
        "connection_id": new_id(),
        "opened_ms": 1_000_000,
        "confirmed_to": 2_000,
        "address": "198.51.100.1",
        "place": home,
    }
    return NodeState(user_id=new_id(), node_id=new_id(), **{**facts, **changes})


AWAY = Place(country="AU", latitude=-33.0, longitude=151.0, subnet="203.0.113.0/24")


def arrival(state: NodeState, address: str = "203.0.113.9", at_ms: int = 3_000_000) -> Opened:
    return Opened(state.node_id, new_id(), at_ms, address)


def test_a_move_tells_where_from_where_to_and_since_when() -> None:
    state = at_home()
    opened = arrival(state)
    move = move_of(state, opened, AWAY)
    assert move is not None
    assert (move.user_id, move.node_id) == (state.user_id, state.node_id)
    assert (move.from_connection, move.to_connection) == (state.connection_id, opened.connection_id)
    assert (move.left_ms, move.at_ms) == (2_000_000, 3_000_000)
    assert (move.from_address, move.to_address) == ("198.51.100.1", "203.0.113.9")
    assert (move.from_country, move.to_country) == ("NL", "AU")
    assert move.km == distance(state.place, AWAY)


def test_a_node_was_there_at_least_when_it_came_and_never_after_it_left() -> None:
    state = at_home(confirmed_to=0)
    assert move_of(state, arrival(state), AWAY).left_ms == 1_000_000
    assert move_of(at_home(confirmed_to=9_999), arrival(state), AWAY).left_ms == 3_000_000


def test_what_is_no_move() -> None:
    nowhere = Place()
    for state, address, place in (
        (at_home(connection_id=None), "203.0.113.9", AWAY),
        (at_home(), "198.51.100.1", AWAY),
        (at_home(), "10.0.0.1", nowhere),
        (at_home(place=nowhere, address="10.0.0.1"), "203.0.113.9", AWAY),
    ):
        assert move_of(state, arrival(state, address), place) is None

"""The arithmetic of measured uptime."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Report
from storage.uptime import (
    CALM,
    FLAPPING,
    HALF_LIFE_MS,
    HOUR_S,
    HourSums,
    NodeState,
    Rules,
    Unsettled,
    contains,
    decayed,
    is_sane,
    length,
    limited,
    minutes_of,
    missing,
    split_hours,
    status_of,
    united,
)

USER, NODE, CONNECTION = UUID(int=1), UUID(int=2), UUID(int=3)
spans = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=12)


def members(some: list[tuple[int, int]]) -> set[int]:
    return {number for start, end in some for number in range(start, end)}


@given(spans)
def test_a_union_has_the_members_of_its_parts_in_as_few_spans_as_can_be(some: list[tuple[int, int]]) -> None:
    union = united(some)
    assert members(union) == members(some)
    assert length(union) == len(members(some))
    assert all(one[1] < other[0] for one, other in pairwise(union))
    assert {number for number in range(201) if contains(union, number)} == members(some)


@given(spans)
def test_the_minutes_are_those_of_the_seconds(some: list[tuple[int, int]]) -> None:
    assert minutes_of(united(some)) == sum({1 << second // 60 for second in members(some)})


@given(st.integers(0, 10**10), st.integers(-HOUR_S, 5 * HOUR_S))
def test_the_parts_of_an_interval_lie_within_hours_and_make_up_the_whole(start: int, seconds: int) -> None:
    position = start
    for hour, (first, end) in split_hours(start, start + seconds):
        assert hour * HOUR_S + first == position
        assert 0 <= first < end <= HOUR_S
        position = hour * HOUR_S + end
    assert position == max(start, start + seconds)


@given(st.sets(st.integers(1, 60)))
def test_missing_are_the_batches_before_the_last_that_were_not_applied(applied: set[int]) -> None:
    holes = set(range(1, max(applied, default=0))) - applied
    assert missing(united((number, number + 1) for number in applied)) == len(holes)


def test_a_penalty_halves_every_minute() -> None:
    assert [decayed(4000, minutes * HALF_LIFE_MS) for minutes in range(5)] == [4000, 2000, 1000, 500, 250]
    assert decayed(4000, HALF_LIFE_MS // 2) == 3000
    assert decayed(4000, -5) == 4000
    assert decayed(4000, 10**12) == 0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_penalty_never_grows_by_itself(penalty: int, sooner: int, later: int) -> None:
    sooner, later = sorted((sooner, later))
    assert 0 <= decayed(penalty, later) <= decayed(penalty, sooner) <= penalty


def test_the_limits_of_flapping_leave_room_between_them() -> None:
    assert CALM < FLAPPING


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, "offline"),
        ({"online": True}, "online"),
        ({"online": True, "sound": False}, "degraded"),
        ({"online": True, "flapping": True}, "degraded"),
        ({"flapping": True}, "offline"),
        ({"flapping": True, "closed_ms": 40_000}, "degraded"),
        ({"flapping": True, "closed_ms": 39_999}, "offline"),
        ({"online": True, "suspended": True}, "suspended"),
    ],
)
def test_the_status_follows_from_what_is_known(facts: dict[str, object], status: str) -> None:
    state = NodeState(user_id=USER, node_id=NODE, **facts)
    assert status_of(state, 100_000, Rules(resume_window=60)) == status


def test_sums_take_what_a_report_holds_and_stop_at_their_limits() -> None:
    sums = HourSums()
    assert sums.confirm((0, 10)) == 10
    assert sums.confirm((5, 15)) == 5
    for _ in range(2):
        sums.add(
            Report(NODE, CONNECTION, 0, 0, 0, 0, bytes_up=1 << 62, answered=20_000, missed=-1, rtt=b"\xf0")
        )
    assert (sums.seconds, sums.minutes) == (15, 1)
    assert (sums.bytes_up, sums.answered, sums.missed, sums.rtt[0]) == ((1 << 62) - 1, (1 << 15) - 1, 0, 255)
    assert limited(5, -9, 10) == 5


@pytest.mark.parametrize(
    ("hour", "start", "end", "sane"),
    [
        (0, 0, 0, True),
        (9, 0, 3600, True),
        (9, 5, 4, False),
        (9, -1, 4, False),
        (9, 0, 3601, False),
        (-1, 0, 1, False),
        (2_000_000, 0, 1, False),
    ],
)
def test_a_report_is_of_one_hour(hour: int, start: int, end: int, sane: bool) -> None:
    assert is_sane(Report(NODE, CONNECTION, hour, start, end, 0)) == sane


def test_what_is_not_settled_is_stale_after_a_day() -> None:
    left = Unsettled(connection_id=CONNECTION, opened_ms=1000, closed_ms=5000)
    assert not left.is_stale(5000 + 86_400_000)
    assert left.is_stale(5001 + 86_400_000)

"""The arithmetic of a fleet's truth: without it no figure of the acceptance suite means anything."""

from uuid import UUID

import pytest
from support.fleet.truth import Answer, Link, Miss, Moment, seconds_of, spans, visits_of

from core.errors import CloseCode

WINDOW = 8_000


def at(seconds: float, spread: float = 0.0) -> Moment:
    return Moment(round(seconds * 1000), round((seconds + spread) * 1000))


def link(opened: float, *marks: float | None, ended: float | None = None, **facts: object) -> Link:
    """A connection with right answers at some times; None is a miss."""
    return Link(
        connection=UUID(int=round(opened * 1000)),
        worker="worker-1",
        address="5.10.0.1",
        opened=at(opened),
        marks=[Miss() if mark is None else Answer(at(mark)) for mark in marks],
        ended=None if ended is None else at(ended),
        **facts,
    )


def earned(*links: Link) -> set[int]:
    """The seconds of links whose truth is exact."""
    found = seconds_of(links, WINDOW)
    assert found.exact
    return set(found.certain)


def test_time_counts_from_the_opening_second_to_that_of_the_last_answer() -> None:
    assert earned(link(10.9, 11.2, 14.8, ended=19.0)) == {10, 11, 12, 13}


def test_without_an_answer_nothing_counts() -> None:
    assert earned(link(10.2, ended=50.0)) == set()


def test_an_answer_in_the_opening_second_earns_nothing_yet() -> None:
    assert earned(link(10.2, 10.9)) == set()


def test_after_a_miss_counting_begins_with_the_next_right_answer() -> None:
    assert earned(link(10.2, 12.3, None, 15.5, 18.1)) == {10, 11, 15, 16, 17}


def test_a_miss_at_the_beginning_costs_the_time_since_the_opening() -> None:
    assert earned(link(10.2, None, 12.3, 14.4)) == {12, 13}


def test_two_misses_are_as_one() -> None:
    assert earned(link(10.2, 11.3, None, None, 15.5, 16.5)) == {10, 15}


def test_overlapping_connections_count_once() -> None:
    assert earned(link(10.0, 15.0, ended=16.0), link(12.0, 14.0, 18.0, ended=19.0)) == set(range(10, 18))


def test_who_left_has_nothing_for_the_pause() -> None:
    assert earned(link(10.0, 12.0, ended=13.0, code=1000), link(14.0, 16.0)) == {10, 11, 14, 15}


def test_a_pause_of_our_making_counts_from_the_last_answer_to_the_return() -> None:
    first = link(10.0, 12.0, ended=13.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(20.5, 22.0)) == set(range(10, 22))


def test_a_pause_of_our_making_longer_than_the_window_does_not_count() -> None:
    first = link(10.0, 12.0, ended=13.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(21.5, 23.0)) == {10, 11, 21, 22}


def test_a_pause_counts_only_when_the_return_has_earned_something() -> None:
    first = link(10.0, 12.0, ended=13.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(15.0, ended=18.0)) == {10, 11}


def test_a_pause_counts_only_when_the_first_answer_after_it_is_right() -> None:
    first = link(10.0, 12.0, ended=13.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(15.0, None, 16.0, 18.0)) == {10, 11, 16, 17}


def test_a_return_around_the_end_of_the_window_leaves_the_pause_open() -> None:
    first = link(10.0, 12.0, code=CloseCode.DRAIN, ours=True)
    first.ended = at(13.0, spread=4.0)
    assert earned(first, link(20.5, 22.0)) == set(range(10, 22))
    assert earned(first, link(25.5, 27.0)) == {10, 11, 25, 26}
    found = seconds_of([first, link(22.5, 24.0)], WINDOW)
    assert found.certain == {10, 11, 22, 23}
    assert found.possible == set(range(10, 24))


def test_who_failed_before_the_end_has_nothing_for_the_pause() -> None:
    first = link(10.0, 12.0, None, ended=15.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(16.0, 18.0)) == {10, 11, 16, 17}


def test_who_answered_right_after_a_failure_but_earned_no_second_has_nothing_for_the_pause() -> None:
    first = link(10.0, 12.0, None, 14.2, 14.9, ended=15.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(16.0, 18.0)) == {10, 11, 16, 17}


def test_a_second_earned_after_a_failure_makes_good_for_it_but_not_for_the_time_of_it() -> None:
    first = link(10.0, 12.0, None, 14.2, 15.3, ended=16.0, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(18.0, 20.0)) == {10, 11, 14, 15, 16, 17, 18, 19}


def test_who_had_no_time_to_answer_loses_nothing() -> None:
    first = link(10.2, ended=10.6, code=CloseCode.DRAIN, ours=True)
    assert earned(first, link(13.0, 15.0)) == {10, 11, 12, 13, 14}


def test_what_a_killed_worker_knew_alone_is_open_unless_the_node_returns() -> None:
    killed = {"ended": 15.0, "ours": True, "kept_until": 12_500}
    alone = seconds_of([link(10.0, 12.0, 14.0, **killed)], WINDOW)
    assert alone.certain == {10, 11}
    assert alone.possible == {10, 11, 12, 13}
    assert not alone.exact
    assert earned(link(10.0, 12.0, 14.0, **killed), link(16.0, 18.0)) == set(range(10, 18))


def test_an_answer_that_was_perhaps_not_heard_is_possible_only() -> None:
    unheard = link(10.0, 12.0)
    unheard.marks.append(Answer(at(14.0), heard=False))
    found = seconds_of([unheard], WINDOW)
    assert found.certain == {10, 11}
    assert found.possible == {10, 11, 12, 13}


def test_a_moment_on_both_sides_of_a_second_leaves_that_second_open() -> None:
    blurred = link(10.0)
    blurred.opened = at(10.98, spread=0.04)
    blurred.marks = [Answer(at(13.99, spread=0.02))]
    found = seconds_of([blurred], WINDOW)
    assert found.certain == {11, 12}
    assert found.possible == {10, 11, 12, 13}
    assert found.holds({11, 12})
    assert found.holds({10, 11, 12, 13})
    assert not found.holds({12})
    assert not found.holds({11, 12, 14})


def test_a_blurred_answer_in_the_middle_of_a_stretch_leaves_no_hole() -> None:
    blurred = link(10.0)
    blurred.marks = [Answer(at(11.99, spread=0.02)), Answer(at(14.5))]
    assert earned(blurred) == {10, 11, 12, 13}


@pytest.mark.parametrize(("back_at", "sessions"), [(14.0, 1), (20.9, 1), (21.1, 2)])
def test_a_return_within_the_window_continues_the_session(back_at: float, sessions: int) -> None:
    visits = visits_of([link(10.0, ended=13.0, code=1000), link(back_at)], WINDOW)
    assert len(visits) == sessions
    assert visits[-1].last.opened == at(back_at)


def test_connections_that_overlap_are_one_session() -> None:
    (visit,) = visits_of([link(10.0, ended=30.0), link(12.0, ended=14.0), link(13.0, ended=40.0)], WINDOW)
    assert len(visit.links) == 3


def test_a_moment_cannot_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        Moment(2, 1)


def test_differences_are_told_in_short() -> None:
    assert spans([5, 1, 2, 3, 9]) == "1-3, 5, 9"
    found = seconds_of([link(10.0, 13.0)], WINDOW)
    assert found.difference({11, 12, 40}) == "missing 10, too many 40"

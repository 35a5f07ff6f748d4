"""What is not booked yet is told with an interval, and the interval holds."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.estimates import FEWEST_SAMPLES, MOST_SAMPLES, NOTHING, PACE, Interval, project, share

LENGTH = 3600
amounts = st.integers(0, 10**15)


def within(interval: Interval, amount: int) -> bool:
    return interval.least <= amount <= interval.most


@given(
    pool=amounts,
    times=st.tuples(st.integers(1, LENGTH), st.integers(0, 600)),
    own=st.lists(st.integers(0, 10**9), max_size=5),
    others=st.integers(0, 10**13),
    data=st.data(),
)
def test_the_close_books_what_the_estimate_said_it_would_at_least_and_at_most(
    pool: int, times: tuple[int, int], own: list[int], others: int, data: st.DataObject
) -> None:
    elapsed, unsettled = times
    settled = max(0, elapsed - unsettled)
    weight, total = sum(own), sum(own) + others
    found = share(pool, weight, total, elapsed=elapsed, settled=settled, length=LENGTH, nodes=len(own))
    assert 0 <= found.least <= found.amount <= found.most <= pool
    if settled == 0:
        return
    # Whatever comes in until the close, at no more than the pace that was allowed for.
    room = PACE * total * (LENGTH - settled) // settled
    mine = data.draw(st.integers(0, min(room, PACE * weight * (LENGTH - settled) // settled)))
    theirs = data.draw(st.integers(0, room - mine))
    # It falls to one's nodes in some way.
    final = list(own)
    for _ in range(3):
        if final:
            index = data.draw(st.integers(0, len(final) - 1))
            part = data.draw(st.integers(0, mine))
            final[index] += part
            mine -= part
    whole = sum(final) + others + theirs
    booked = sum(pool * each // whole for each in final) if whole else 0
    assert within(found, booked), (found, booked)


def test_whoever_works_alone_sees_the_pool_fill_up() -> None:
    found = [
        share(1000, 5, 5, elapsed=elapsed, settled=elapsed, length=10, nodes=0)
        for elapsed in (0, 1, 5, 9, 10)
    ]
    assert [each.amount for each in found] == [0, 100, 500, 900, 1000]
    assert found[0] == Interval(0, 0, 1000)
    assert found[-1] == Interval(1000, 1000, 1000)


def test_the_interval_is_empty_once_everything_is_known_but_what_rounding_takes() -> None:
    assert share(1000, 1, 3, elapsed=10, settled=10, length=10, nodes=2) == Interval(333, 331, 333)


def test_whoever_does_nothing_gets_nothing() -> None:
    assert share(1000, 0, 7, elapsed=5, settled=3, length=10, nodes=1) == NOTHING
    assert share(1000, 0, 0, elapsed=5, settled=3, length=10, nodes=1) == NOTHING


def test_ones_own_weight_may_be_newer_than_everybodys() -> None:
    found = share(1000, 6, 4, elapsed=5, settled=5, length=10, nodes=0)
    assert (found.amount, found.least) == (750, 333)
    # But what has not accrued by now cannot be shared.
    assert found.at_most(600) == Interval(600, 333, found.most)
    assert share(1000, 8, 4, elapsed=10, settled=10, length=10, nodes=0).amount == 1000


@given(
    booked=st.integers(0, 10**20),
    samples=st.lists(st.integers(-(10**6), 10**12), max_size=300),
    remaining=st.integers(0, 31 * 86_400),
)
def test_a_projection_is_an_interval_on_top_of_what_is_booked(
    booked: int, samples: list[int], remaining: int
) -> None:
    found = project(booked, samples, remaining, 3600)
    if found is None:
        known = samples[-MOST_SAMPLES:]
        assert len(known) < FEWEST_SAMPLES or not any(known[: len(known) - FEWEST_SAMPLES + 1])
        return
    assert booked <= found.least <= found.amount <= found.most
    if remaining == 0:
        assert found == Interval(booked, booked, booked)


def test_even_earnings_go_on_evenly() -> None:
    day = timedelta(days=1) // timedelta(seconds=1)
    assert project(5, [7] * FEWEST_SAMPLES, day, 3600) == Interval(173, 173, 173)


def test_less_than_a_day_is_not_enough_data() -> None:
    assert project(5, [0] * 100 + [7] * (FEWEST_SAMPLES - 1), 3600, 3600) is None
    assert project(5, [0] * 100 + [7] * FEWEST_SAMPLES, 3600, 3600) is not None
    assert project(5, [0] * 500, 3600, 3600) is None

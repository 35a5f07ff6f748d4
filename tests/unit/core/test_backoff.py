"""Back-off with full jitter."""

import random

from hypothesis import given
from hypothesis import strategies as st

from core.backoff import Backoff


@given(
    base=st.floats(0.001, 10),
    cap=st.floats(0.001, 600),
    failures=st.integers(1, 2000),
    seed=st.integers(),
)
def test_a_delay_is_never_above_its_bound_nor_below_zero(base, cap, failures, seed):
    backoff = Backoff(base, cap, random.Random(seed))
    for attempt in range(failures):
        bound = min(cap, base * 2.0 ** min(attempt, 64))
        assert backoff.bound == bound
        assert 0 <= backoff.next() <= bound


def test_delays_are_spread_over_the_whole_range():
    rng = random.Random(7)
    delays = []
    for _ in range(2000):
        backoff = Backoff(1.0, 64.0, rng)
        backoff.attempts = 5
        delays.append(backoff.next())
    assert min(delays) < 1.0
    assert max(delays) > 31.0
    assert 15.0 < sum(delays) / len(delays) < 17.0


def test_a_reset_begins_with_the_shortest_delay_again():
    backoff = Backoff(0.5, 60.0)
    for _ in range(10):
        backoff.next()
    assert backoff.bound == 60.0
    backoff.reset()
    assert backoff.bound == 0.5

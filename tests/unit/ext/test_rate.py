"""The pace of connections beside its Python twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.rate import ReferenceBucket

from ext.rate import Pace

RATES = st.integers(1, 1_000_000)
BURSTS = st.integers(1, 1000)
SECOND_US = 1_000_000


def _admitted(pace: Pace, arrival: int, times: int) -> tuple[int, int]:
    """How many of so many messages at once are admitted, and the arrival time after them."""
    count = 0
    for _ in range(times):
        if (later := pace.admit(arrival)) is not None:
            arrival = later
            count += 1
    return count, arrival


@given(
    st.just(0) | RATES,
    BURSTS,
    st.lists(st.sampled_from([0, 0, 0, 1, 7, 1000, 19_999, 20_000, SECOND_US]), max_size=200),
)
def test_it_admits_what_a_bucket_of_tokens_would(rate, burst, pauses):
    pace, bucket = Pace(rate, burst), ReferenceBucket(rate, burst)
    now = arrival = 0
    for pause in pauses:
        now += pause
        pace.at(now)
        later = pace.admit(arrival)
        assert (later is not None) == bucket.admit(now)
        arrival = arrival if later is None else later


@given(RATES, BURSTS, st.integers(0, 10**12))
def test_whoever_was_silent_may_send_a_burst_and_no_more(rate, burst, now):
    pace = Pace(rate, burst)
    pace.at(now)
    assert _admitted(pace, 0, burst + 10)[0] == burst


def test_without_a_rate_everything_is_admitted():
    pace = Pace(0, 1)
    pace.at(5)
    assert _admitted(pace, 0, 10_000)[0] == 10_000


@given(st.integers(1, 1000), st.integers(1, 300), st.integers(0, 600))
def test_what_piles_up_while_we_do_not_listen_is_not_held_against_the_sender(rate, burst, stall):
    pace = Pace(rate, burst)
    pace.at(0)
    arrival, interval = pace.admit(0), SECOND_US // rate + 1
    # It goes on at the steady rate all the while: what it sent in the stall is read at its end.
    now = stall * SECOND_US
    pace.at(now)
    pace.stalled(now)
    count, arrival = _admitted(pace, arrival, stall * rate)
    assert count == stall * rate
    for _ in range(2 * burst):
        now += interval
        pace.at(now)
        arrival = pace.admit(arrival)
        assert arrival is not None


@given(st.integers(1, 1000), st.integers(1, 300), st.integers(0, 60))
def test_a_stall_admits_no_more_than_its_length_would_have(rate, burst, stall):
    pace = Pace(rate, burst)
    now = stall * SECOND_US
    pace.at(now)
    pace.stalled(now)
    pile = stall * rate + burst
    assert pile <= _admitted(pace, 0, 2 * pile + 10)[0] <= pile + stall * rate // 100 + 1


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (10**9 + 1, 1), (1, 0), (1, 10**9 + 1)])
def test_an_impossible_pace_is_refused(rate, burst):
    with pytest.raises(ValueError, match="impossible"):
        Pace(rate, burst)

"""What is added up of a node: whole seconds, hours, and round trips."""

from hypothesis import given
from hypothesis import strategies as st

from core.clock import new_id
from core.engine.tally import HOUR_MS, MAX_ERRORS, MAX_SPAN_MS, Tally
from storage.base import Report
from storage.rtt import BUCKETS, MOST

NODE, CONNECTION = new_id(), new_id()
HOUR = 490_000
T0 = HOUR * HOUR_MS


def _tally() -> Tally:
    return Tally(NODE, CONNECTION)


def _seconds(reports: list[Report]) -> list[int]:
    return [r.hour * 3600 + second for r in reports for second in range(r.start, r.end)]


@given(st.integers(0, 2 * HOUR_MS), st.lists(st.integers(0, HOUR_MS), max_size=8), st.sets(st.integers(0, 8)))
def test_intervals_that_follow_each_other_stay_so_wherever_they_are_cut(start, lengths, taken_after):
    tally, reports, at = _tally(), [], T0 + start
    for index, length in enumerate(lengths):
        tally.confirm(at, at + length)
        at += length
        if index in taken_after:
            reports += tally.take(at)
    reports += tally.take(at)
    assert _seconds(reports) == list(range((T0 + start) // 1000, at // 1000))
    assert all(0 <= report.start < report.end <= 3600 for report in reports)
    # Without a report in between there is one for each hour that was touched.
    if not taken_after:
        assert len({report.hour for report in reports}) == len(reports)


@given(st.lists(st.tuples(st.integers(0, HOUR_MS), st.integers(0, 60_000)), max_size=8))
def test_no_second_is_made_up(spans):
    tally, at, real = _tally(), T0, 0
    for pause, length in spans:
        at += pause
        tally.confirm(at, at + length)
        real += length
        at += length
    seconds = _seconds(tally.take(at))
    assert len(seconds) == len(set(seconds))
    # Rounding down both ends of an interval gives or takes less than a second.
    assert abs(len(seconds) * 1000 - real) < 1000 * max(1, len(spans))


def test_intervals_with_a_gap_between_them_become_reports_of_the_same_hour():
    tally = _tally()
    tally.at(T0).answered += 1
    tally.confirm(T0, T0 + 10_000)
    tally.confirm(T0 + 20_000, T0 + 30_000)
    tally.at(T0 + 30_000).bytes_up += 5
    first, second = tally.take(T0 + 31_000)
    assert (first.hour, first.start, first.end, first.answered) == (HOUR, 0, 10, 1)
    assert (second.hour, second.start, second.end, second.answered) == (HOUR, 20, 30, 0)
    assert (second.bytes_up, second.at_s) == (5, T0 // 1000 + 31)
    assert tally.waiting == 0


def test_counts_belong_to_the_hour_in_which_they_happened_whatever_came_before():
    tally = _tally()
    tally.at(T0 + HOUR_MS).bytes_up += 1
    # An answer of the hour before, whose signature took its time.
    tally.at(T0 + HOUR_MS - 1).answered += 1
    tally.at(T0 + HOUR_MS).missed += 1
    tally.at(T0 + HOUR_MS).refused += 1
    later, earlier = tally.take(T0 + HOUR_MS)
    assert (later.hour, later.bytes_up, later.answered, later.missed, later.refused) == (HOUR + 1, 1, 0, 1, 1)
    assert (earlier.hour, earlier.bytes_up, earlier.answered) == (HOUR, 0, 1)


def test_a_clock_that_was_set_back_or_far_ahead_confirms_nothing():
    tally = _tally()
    tally.confirm(T0, T0 - 1)
    tally.confirm(T0, T0 - HOUR_MS)
    tally.confirm(T0, T0 + MAX_SPAN_MS + 1)
    assert tally.waiting == 0
    tally.confirm(T0, T0 + MAX_SPAN_MS)
    assert len(_seconds(tally.take(T0))) == MAX_SPAN_MS // 1000


def test_round_trips_are_counted_in_buckets_and_smoothed_into_jitter():
    tally = _tally()
    # RFC 3550 §6.4.1: J += (|D| - J) / 16.
    for rtt_us in (4_000, 20_000, 20_000):
        tally.measure(T0, rtt_us)
    (report,) = tally.take(T0)
    assert len(report.rtt) == BUCKETS
    assert {index: count for index, count in enumerate(report.rtt) if count} == {0: 1, 4: 2}
    assert report.rtt_us == 20_000
    assert report.jitter_us == 1000 - 1000 // 16 - 1
    assert tally.sign_of_life(T0) == Report(
        NODE, CONNECTION, HOUR, 0, 0, T0 // 1000, rtt_us=report.rtt_us, jitter_us=report.jitter_us
    )


def test_one_round_trip_is_no_jitter():
    tally = _tally()
    tally.measure(T0, 4_000)
    assert tally.take(T0)[0].jitter_us == 0


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=50))
def test_jitter_lies_between_none_and_the_greatest_difference(rtts):
    tally = _tally()
    for rtt_us in rtts:
        tally.measure(T0, rtt_us)
    assert 0 <= tally.sign_of_life(T0).jitter_us <= max(rtts) - min(rtts)


def test_an_hours_histogram_never_has_more_than_a_byte_can_count():
    tally, counted = _tally(), 0
    for number in range(MOST + 10):
        tally.measure(T0, 1)
        if number % 50 == 0:
            counted += sum(report.rtt[0] for report in tally.take(T0))
    counted += sum(report.rtt[0] for report in tally.take(T0) if report.rtt)
    assert counted == MOST
    tally.measure(T0 + HOUR_MS, 1)
    assert tally.take(T0)[0].rtt[0] == 1


def test_errors_that_a_node_claims_are_bounded():
    tally = _tally()
    for _ in range(3):
        tally.at(T0).errors += MAX_ERRORS
    assert tally.take(T0)[0].errors == MAX_ERRORS

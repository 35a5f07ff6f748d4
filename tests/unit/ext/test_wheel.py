"""The timing wheel beside its Python twin."""

from hypothesis import given
from hypothesis import strategies as st
from reference.wheel import ReferenceWheel

from ext.wheel import Wheel

TICK, SIZE, SLOTS = 10, 8, 6

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, SLOTS - 1), st.integers(-50, 300)),
        st.tuples(st.just("drop"), st.integers(0, SLOTS - 1)),
        st.tuples(st.just("turn"), st.integers(-5, 200)),
    ),
    max_size=60,
)


@given(STEPS)
def test_slots_come_due_when_the_twin_says(steps):
    now = 1000
    wheel, twin = Wheel(SLOTS, now, TICK, SIZE), ReferenceWheel(now, TICK, SIZE)
    for step in steps:
        match step:
            case ("add", slot, delay):
                wheel.add(slot, now + delay)
                twin.add(slot, now + delay)
            case ("drop", slot):
                wheel.drop(slot)
                twin.drop(slot)
            case ("turn", delta):
                now += delta
                due = wheel.due(now)
                assert len(due) == len(set(due))
                assert set(due) == twin.due(now)


@given(st.integers(0, 500), st.integers(1, (SIZE - 2) * TICK))
def test_a_slot_within_the_horizon_is_never_early_and_at_most_a_tick_late(start, delay):
    wheel = Wheel(1, start, TICK, SIZE)
    wheel.add(0, start + delay)
    came = next(now for now in range(start, start + SIZE * TICK * 2) if wheel.due(now))
    assert start + delay <= came < start + delay + TICK


def test_after_a_long_stall_everything_due_comes_once():
    wheel = Wheel(SLOTS, 0, TICK, SIZE)
    for slot in range(SLOTS):
        wheel.add(slot, 10 * (slot + 1))
    assert sorted(wheel.due(1_000_000)) == list(range(SLOTS))
    assert wheel.due(1_000_500) == []


def test_a_time_beyond_the_horizon_comes_due_at_the_horizon():
    wheel = Wheel(1, 0, TICK, SIZE)
    wheel.add(0, 1_000_000)
    assert wheel.due(TICK * (SIZE - 1) - 1) == []
    assert wheel.due(TICK * (SIZE - 1)) == [0]

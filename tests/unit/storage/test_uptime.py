"""What the fold of records hands to a store."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from storage.base import Batch, Closed, Confirmed, Opened, Reported
from storage.uptime import COUNT_LIMIT, HOUR_MS, Fold, HourSums, NodeState, SessionChange, split_hours

USER, NODE, SESSION = UUID(int=1), UUID(int=2), UUID(int=3)
NOON = 12 * HOUR_MS


def folded(*records: Opened | Confirmed | Reported | Closed) -> Fold:
    fold = Fold({NODE: NodeState(user_id=USER, node_id=NODE)})
    fold.add(Batch("w", 1, list(records)))
    return fold


@given(st.integers(0, 10**13), st.integers(-HOUR_MS, 5 * HOUR_MS))
def test_the_parts_of_an_interval_lie_within_hours_and_make_up_the_whole(start: int, length: int) -> None:
    position = start
    for hour, part in split_hours(start, start + length):
        assert hour % HOUR_MS == 0
        assert hour <= position < position + part <= hour + HOUR_MS
        position += part
    assert position == max(start, start + length)


def test_a_connection_is_told_from_its_opening_to_its_close() -> None:
    fold = folded(
        Opened(NODE, SESSION, NOON, "192.0.2.1"),
        Reported(NODE, SESSION, NOON + 1, 10, 20, 1, "1.2"),
        Reported(NODE, SESSION, NOON + 2, 10, 20, 1, ""),
        Closed(NODE, SESSION, NOON + 3, 1006),
    )
    assert fold.sessions == {
        (NODE, SESSION): SessionChange(
            opened_ms=NOON,
            worker="w",
            address="192.0.2.1",
            closed_ms=NOON + 3,
            code=1006,
            agent_version="1.2",
        )
    }
    assert fold.hours == {(NODE, NOON): HourSums(bytes_up=20, bytes_down=40, errors=2)}


def test_what_cannot_be_stored_is_made_storable() -> None:
    fold = folded(
        Opened(NODE, SESSION, NOON, "\x00192.0.2.1"),
        *[Reported(NODE, SESSION, NOON, COUNT_LIMIT, 1, 0, "1\x00.2")] * 3,
    )
    assert fold.hours[NODE, NOON].bytes_up == COUNT_LIMIT
    assert fold.sessions[NODE, SESSION].agent_version == "1.2"
    assert fold.sessions[NODE, SESSION].address == "192.0.2.1"


def test_unknown_nodes_leave_no_trace() -> None:
    fold = Fold({})
    fold.add(Batch("w", 1, [Opened(NODE, SESSION, NOON, ""), Confirmed(NODE, SESSION, NOON, NOON + 1)]))
    assert (fold.hours, fold.sessions, fold.touched, fold.owners()) == ({}, {}, set(), set())


def test_a_later_close_after_a_presumed_end_is_the_one_that_counts() -> None:
    state = NodeState(
        user_id=USER, node_id=NODE, since_ms=NOON, session_id=SESSION, opened_ms=NOON - 9, presumed=True
    )
    fold = Fold({NODE: state})
    fold.add(Batch("w", 1, [Confirmed(NODE, SESSION, NOON, NOON + 5), Closed(NODE, SESSION, NOON + 6, 1000)]))
    assert (state.online, state.since_ms, state.presumed) == (False, NOON + 6, False)
    change = fold.sessions[NODE, SESSION]
    assert (change.closed_ms, change.reopened) == (NOON + 6, False)

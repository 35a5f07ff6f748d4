"""Nodes under a hub whose clock and pongs are the test's: turns, floods and clocks."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import eventually

from core.clock import ManualClock, new_id
from core.config import Network
from core.engine.nodes import MAX_WAITING, SILENT_INTERVALS, NodeConnections
from core.errors import CloseCode, InvalidInput, Refusal
from core.messages import Beat, Challenge, ChallengeReply, challenge_bytes
from storage.base import Closed, Described, Health, Opened, Record, Report

START = datetime(2026, 1, 1, 11, 30, tzinfo=UTC)


class Hub:
    """What nodes need of a hub: a clock, alarms and round trips."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.alarms: dict[int, int] = {}
        self.rtts: dict[int, int] = {}
        self.pings: list[int] = []

    def now_ms(self) -> int:
        return self.now

    def set_alarm(self, handle: int, at_ms: int) -> bool:
        self.alarms[handle] = at_ms
        return True

    def ping(self, handle: int) -> bool:
        self.pings.append(handle)
        return True

    def take_rtt_us(self, handle: int) -> int | None:
        return self.rtts.pop(handle, None)


class Machine:
    """Nodes, and what became of them."""

    def __init__(self, **settings: float) -> None:
        self.hub = Hub()
        self.clock = ManualClock(START)
        self.records: list[Record] = []
        self.challenges: dict[int, list[Challenge]] = {}
        self.refusals: list[tuple[int, str]] = []
        self.keys: dict[int, Ed25519PrivateKey] = {}
        self.ids: dict[int, tuple] = {}
        self.nodes = NodeConnections(
            settings=Network(**{"report_interval": 60.0, **settings}),
            clock=self.clock,
            hub=self.hub,
            record=self.records.append,
            send=lambda handle, message: self.challenges.setdefault(handle, []).append(message),
            refuse=self.refuse,
        )

    def refuse(self, handle: int, refusal: Refusal) -> None:
        self.refusals.append((handle, refusal.code))

    def advance(self, seconds: float) -> None:
        """Move both clocks."""
        self.hub.now += round(seconds * 1000)
        self.clock.advance(timedelta(seconds=seconds))

    def open(self, handle: int = 1) -> None:
        self.keys[handle] = Ed25519PrivateKey.generate()
        self.ids[handle] = new_id(), new_id()
        public = self.keys[handle].public_key().public_bytes_raw()
        self.nodes.opened(handle, *self.ids[handle], public, "192.0.2.1")

    def answer(self, handle: int = 1) -> None:
        nonce = self.challenges[handle][-1].nonce
        self.nodes.reply(handle, ChallengeReply(nonce, self.sign(handle, nonce)))

    def sign(self, handle: int, nonce: bytes) -> bytes:
        return self.keys[handle].sign(challenge_bytes(nonce, *self.ids[handle]))

    async def judged(self, count: int) -> None:
        """Return once so many answers were judged."""

        async def all_of_them() -> bool:
            return self.nodes.answered + self.nodes.forged == count

        await eventually(all_of_them)

    async def pass_challenge(self, seconds: float, handle: int = 1) -> None:
        """Answer the open challenge after `seconds`, and have the next one out."""
        self.advance(seconds)
        before = self.nodes.answered
        self.answer(handle)
        await self.judged(before + 1)
        self.nodes.on_alarm(handle)

    def due(self) -> list[Record]:
        return self.nodes.due(1_000_000)


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine()
    yield made
    made.nodes.close()


def _spans(records: list[Record]) -> list[tuple[int, int]]:
    reports = [record for record in records if isinstance(record, Report) and record.end > record.start]
    return [(report.hour * 3600 + report.start, report.hour * 3600 + report.end) for report in reports]


START_S = round(START.timestamp())


# --- reports ----------------------------------------------------------------------------------------


async def test_each_node_reports_once_in_an_interval_and_not_all_at_the_same_time(machine):
    handles = range(3000)
    for handle in handles:
        machine.open(handle)
        machine.nodes.beat(handle, Beat(1, 1))
    assert machine.due() == []
    sizes = []
    for _ in range(600):
        machine.advance(0.1)
        sizes.append(len(machine.due()))
    assert sum(sizes) == len(handles)
    # A turn is as long as a flush interval, 0.2 s: 300 turns of ten nodes.
    assert max(sizes) <= 20
    for _ in range(600):
        machine.advance(0.1)
        assert machine.due() == []


async def test_sums_of_a_long_while_that_nobody_asked_are_one_report(machine):
    machine.open()
    for _ in range(50):
        machine.advance(30)
        machine.nodes.beat(1, Beat(10, 1))
    (report,) = machine.due()
    assert report.bytes_up == 500


async def test_no_more_is_handed_out_at_once_than_was_asked_for(machine):
    for handle in range(100):
        machine.open(handle)
        machine.nodes.beat(handle, Beat(1, 1))
    machine.advance(120)
    parts = [machine.nodes.due(30) for _ in range(5)]
    assert [len(part) for part in parts] == [30, 30, 30, 10, 0]
    assert len({report.node_id for part in parts for report in part}) == 100


async def test_a_silent_node_gives_a_sign_of_life_now_and_then(machine):
    machine.open()
    records = []
    for _ in range(3 * SILENT_INTERVALS + 1):
        machine.advance(60)
        records += machine.due()
    now_s = round(machine.clock.now().timestamp())
    assert len(records) == 3
    assert records[-1] == Report(*machine.ids[1], now_s // 3600, 0, 0, records[-1].at_s)
    assert _spans(records) == []


async def test_nodes_that_left_while_their_turn_waits_report_nothing_more(machine):
    for handle in (300, 600):
        machine.open(handle)
        machine.nodes.beat(handle, Beat(1, 1))
    machine.advance(60)
    (first,) = machine.nodes.due(1)
    left = 300 if first.node_id == machine.ids[600][0] else 600
    machine.nodes.closed(left, 1000)
    assert machine.due() == []
    assert len(machine.nodes) == 1


async def test_an_interval_over_a_full_hour_is_two_reports(machine):
    machine.open()
    await machine.pass_challenge(1790)
    await machine.pass_challenge(20)
    records = machine.due()
    assert _spans(records) == [(START_S, START_S + 1800), (START_S + 1800, START_S + 1810)]
    assert [record.hour for record in records] == [START_S // 3600, START_S // 3600 + 1]
    assert [record.answered for record in records] == [1, 1]


async def test_the_first_interval_begins_with_the_second_of_the_opening_and_none_is_counted_twice(machine):
    machine.advance(0.9)
    machine.open()
    for seconds in (1.3, 0.7, 0.05, 2.95):
        await machine.pass_challenge(seconds)
    machine.advance(60)
    assert _spans(machine.due()) == [(START_S, START_S + 5)]


async def test_reports_that_nobody_fetches_are_handed_on_before_they_are_too_many():
    machine = Machine(max_rate=10**15)
    machine.open()
    for _ in range(MAX_WAITING + 1):
        # Three seconds, then a miss: intervals that do not touch.
        await machine.pass_challenge(3)
        machine.advance(7)
        machine.nodes.on_alarm(1)
        machine.nodes.on_alarm(1)
        await machine.pass_challenge(1)
    handed_on = [record for record in machine.records if isinstance(record, Report)]
    assert len(handed_on) >= MAX_WAITING
    rest = machine.due()
    assert len(rest) < MAX_WAITING
    assert len(_spans(handed_on + rest)) == MAX_WAITING + 1
    machine.nodes.close()


# --- watermarks -------------------------------------------------------------------------------------


def _walk(machine: Machine, seconds: float = 60.0) -> list[Record]:
    """Everything that comes due while so much time passes."""
    records = []
    for _ in range(round(seconds * 10)):
        machine.advance(0.1)
        records += machine.due()
    return records


async def test_without_nodes_all_is_told_up_to_now(machine):
    machine.advance(7.7)
    assert machine.nodes.settled_ms() == (START_S + 7) * 1000


async def test_what_an_answer_may_still_confirm_is_not_settled(machine):
    machine.advance(30.5)
    machine.open()
    _walk(machine)
    assert machine.nodes.settled_ms() == (START_S + 30) * 1000
    machine.answer()
    await machine.judged(1)
    assert machine.nodes.settled_ms() == (START_S + 30) * 1000, "it is confirmed, but not told"
    assert _spans(_walk(machine)) == [(START_S + 30, START_S + 90)]
    assert machine.nodes.settled_ms() == (START_S + 90) * 1000


async def test_an_answer_that_is_being_verified_is_not_settled(machine):
    machine.open()
    machine.advance(10)
    machine.nodes.on_alarm(1)
    machine.nodes.on_alarm(1)
    machine.advance(1)
    machine.answer()
    # No turn of the event loop: the verdict is not in.
    _walk(machine)
    assert machine.nodes.settled_ms() == (START_S + 11) * 1000


async def test_a_node_that_failed_holds_nothing_back(machine):
    machine.open()
    machine.advance(10)
    machine.nodes.on_alarm(1)
    _walk(machine)
    assert machine.nodes.settled_ms() >= (START_S + 10) * 1000


async def test_who_left_holds_nothing_back_after_its_turn(machine):
    machine.open(1)
    machine.open(2)
    await machine.pass_challenge(5, handle=2)
    machine.advance(10)
    machine.nodes.closed(1, 1000)
    _walk(machine)
    assert machine.nodes.settled_ms() == (START_S + 5) * 1000


async def test_the_first_node_after_a_pause_takes_nothing_back(machine):
    machine.open()
    machine.nodes.closed(1, 1000)
    machine.advance(3600)
    machine.open(2)
    assert machine.nodes.settled_ms() == (START_S + 3600) * 1000


async def test_a_clock_that_was_set_back_takes_the_promise_back_before_anything_is_confirmed_again(machine):
    machine.open()
    machine.advance(10)
    machine.nodes.on_alarm(1)
    _walk(machine)
    before = machine.nodes.settled_ms()
    machine.advance(0.2)
    machine.clock.advance(timedelta(hours=-1))
    machine.open(2)
    opened_ms = machine.clock.now_ms()
    machine.advance(1)
    promised = machine.nodes.settled_ms()
    assert promised <= opened_ms < before - 3_000_000
    machine.answer(2)
    await machine.judged(1)
    ((start, _),) = _spans(_walk(machine))
    assert start * 1000 >= promised


@given(data=st.data())
@settings(max_examples=60, deadline=None)
async def test_nothing_is_confirmed_before_what_was_promised(data):
    machine = Machine(report_interval=4.0)
    open_handles: set[int] = set()
    told, promised = 0, machine.nodes.settled_ms()
    last = promised
    try:
        for _ in range(data.draw(st.integers(5, 40))):
            what = data.draw(st.sampled_from(["open", "answer", "alarm", "close", "due", "due"]))
            machine.advance(data.draw(st.sampled_from([0.1, 0.7, 3.0, 11.0])))
            handle = data.draw(st.integers(1, 6))
            if what == "open" and handle not in open_handles:
                machine.open(handle)
                open_handles.add(handle)
            elif what == "close" and handle in open_handles:
                open_handles.remove(handle)
                machine.nodes.closed(handle, 1000)
            elif what == "alarm":
                machine.nodes.on_alarm(handle)
            elif what == "answer" and handle in open_handles:
                with contextlib.suppress(InvalidInput):
                    machine.answer(handle)
                if data.draw(st.booleans()):
                    await asyncio.sleep(0)
            elif what == "due":
                records = machine.nodes.due(data.draw(st.integers(1, 5)))
                machine.records += records
            fresh, told = machine.records[told:], len(machine.records)
            assert all(start * 1000 >= promised for start, _ in _spans(fresh))
            promised = machine.nodes.settled_ms()
            assert promised >= last, "without a clock set back it never goes back"
            last = promised
    finally:
        machine.nodes.close()


# --- bad input --------------------------------------------------------------------------------------


async def test_a_flood_of_beats_is_one_report_and_its_versions_are_told_once_a_report(machine):
    machine.open()
    for number in range(10_000):
        machine.nodes.beat(1, Beat(1, 2, 0, f"v{number}"))
    assert machine.records[1:] == [Described(*machine.ids[1], "v0")]
    machine.advance(60)
    described, report = machine.due()
    assert described == Described(*machine.ids[1], "v9999")
    assert (report.bytes_up, report.bytes_down) == (10_000, 20_000)


async def test_a_flood_of_connections_leaves_nothing_behind(machine):
    for _ in range(1000):
        machine.open(7)
        machine.nodes.closed(7, 1006)
    assert len(machine.nodes) == 0
    machine.advance(3600)
    assert machine.due() == []
    assert [type(record) for record in machine.records] == [Opened, Closed] * 1000


async def test_bytes_are_taken_at_the_greatest_rate_and_not_faster():
    machine = Machine(max_rate=8000)
    machine.open()
    machine.nodes.beat(1, Beat(60_000, 0))
    for _ in range(5):
        with pytest.raises(InvalidInput) as refused:
            machine.nodes.beat(1, Beat(0, 1001))
        assert refused.value.code == "impossible_beat"
    for _ in range(10):
        machine.advance(1)
        machine.nodes.beat(1, Beat(1000, 1000))
    # Who was silent has earned no more than a minute.
    machine.advance(3600)
    with pytest.raises(InvalidInput):
        machine.nodes.beat(1, Beat(60_001, 0))
    machine.nodes.beat(1, Beat(60_000, 60_000))
    reports = [record for record in machine.due() if isinstance(record, Report)]
    assert sum(report.bytes_up for report in reports) == 130_000
    assert sum(report.refused for report in reports) == machine.nodes.refused_beats == 6
    machine.nodes.close()


async def test_a_wall_clock_that_was_set_back_confirms_nothing_until_it_has_caught_up(machine):
    machine.open()
    await machine.pass_challenge(10)
    machine.clock.advance(timedelta(seconds=-8))
    await machine.pass_challenge(5)
    await machine.pass_challenge(2)
    assert _spans(machine.due()) == []
    machine.advance(60)
    assert _spans(machine.due()) == [(START_S, START_S + 10)]
    await machine.pass_challenge(4)
    machine.advance(60)
    assert _spans(machine.due()) == [(START_S + 10, START_S + 73)]


async def test_a_wall_clock_that_leaps_ahead_confirms_nothing(machine):
    machine.open()
    machine.clock.advance(timedelta(days=400))
    await machine.pass_challenge(10)
    now_s = round(machine.clock.now().timestamp())
    await machine.pass_challenge(10)
    machine.advance(60)
    assert _spans(machine.due()) == [(now_s, now_s + 10)]


# --- challenges -------------------------------------------------------------------------------------


async def test_an_answer_is_judged_with_the_time_of_its_arrival(machine):
    machine.open()
    machine.advance(10)
    machine.answer()
    machine.advance(50)
    await machine.judged(1)
    machine.advance(60)
    assert _spans(machine.due()) == [(START_S, START_S + 10)]


async def test_challenges_come_at_random_times_and_deadlines_after_their_time(machine):
    machine.open()
    assert machine.hub.alarms[1] == machine.hub.now + 10_000
    pauses = []
    for _ in range(100):
        machine.answer()
        pauses.append(machine.hub.alarms[1] - machine.hub.now)
        await machine.judged(len(pauses))
        machine.nodes.on_alarm(1)
        assert machine.hub.alarms[1] == machine.hub.now + 10_000
    assert 10_000 <= min(pauses) < 13_000
    assert 27_000 < max(pauses) <= 30_000
    assert len({challenge.nonce for challenge in machine.challenges[1]}) == 101


async def test_a_missed_challenge_counts_once_even_if_its_answer_still_comes(machine):
    machine.open()
    machine.advance(11)
    machine.nodes.on_alarm(1)
    with pytest.raises(InvalidInput):
        machine.answer()
    machine.advance(60)
    (report,) = machine.due()
    assert (report.missed, report.refused, report.answered) == (1, 1, 0)
    assert not any(isinstance(record, Health) for record in machine.records)
    machine.nodes.on_alarm(1)
    machine.advance(11)
    machine.nodes.on_alarm(1)
    (health,) = [record for record in machine.records if isinstance(record, Health)]
    assert health == Health(*machine.ids[1], machine.clock.now_ms(), sound=False)


async def test_a_replay_is_refused_before_its_first_answer_was_verified(machine):
    machine.open()
    machine.answer()
    with pytest.raises(InvalidInput):
        machine.answer()
    await machine.judged(1)
    assert (machine.nodes.answered, machine.nodes.replayed) == (1, 1)


async def test_whatever_is_being_verified_is_judged_before_the_next_challenge_goes_out(machine, monkeypatch):
    machine.open()
    # The thread never comes back with it.
    monkeypatch.setattr(machine.nodes._verifier, "put", lambda *claim: None)
    machine.advance(5)
    machine.answer()
    assert machine.nodes.answered == 0
    machine.nodes.on_alarm(1)
    assert machine.nodes.answered == 1
    assert len(machine.challenges[1]) == 2


async def test_a_verdict_on_a_connection_that_has_gone_changes_nothing(machine):
    machine.open()
    machine.keys[1] = Ed25519PrivateKey.generate()
    machine.answer()
    machine.nodes.closed(1, 1000)
    assert machine.refusals == [(1, "wrong_signature")]
    before = list(machine.records)

    async def drained() -> bool:
        return len(machine.nodes._verifier) == 0

    await eventually(drained)
    await asyncio.get_running_loop().run_in_executor(machine.nodes._verifier._thread, int)
    await asyncio.sleep(0)
    assert machine.records == before
    assert machine.nodes.forged == 1


# --- round trips ------------------------------------------------------------------------------------


async def test_a_ping_goes_out_with_each_challenge_and_measures_at_most_once(machine):
    machine.open()
    for rtt_us in (7_000, 9_000):
        machine.hub.rtts[1] = rtt_us
        machine.answer()
        # Whatever else was measured until the next challenge, an idle ping say, is not of this one.
        machine.hub.rtts[1] = 1
        machine.nodes.on_alarm(1)
    assert machine.hub.pings == [1, 1, 1]
    machine.advance(60)
    (report,) = machine.due()
    assert sum(report.rtt) == machine.nodes.round_trips == 2
    assert (report.rtt_us, report.jitter_us) == (9_000, 125)


async def test_a_pong_that_comes_after_the_answer_counts_with_the_next_challenge(machine):
    machine.open()
    machine.answer()
    machine.hub.rtts[1] = 7_000
    machine.nodes.on_alarm(1)
    machine.advance(60)
    (report,) = machine.due()
    assert report.rtt_us == 7_000


# --- ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "recorded"),
    [(1000, 4001), (1001, 4001), (1006, 4001), (4001, 4001), (4506, 4506), (4503, 4503), (4012, 4012)],
)
async def test_the_end_of_who_was_told_to_leave_is_ours_unless_something_was_wrong(machine, code, recorded):
    machine.open()
    machine.nodes.told_to_leave(1)
    machine.nodes.closed(1, code)
    assert machine.records[-1] == Closed(*machine.ids[1], machine.clock.now_ms(), recorded)


async def test_the_end_of_who_left_by_itself_is_its_own(machine):
    machine.open()
    machine.nodes.closed(1, CloseCode.NORMAL)
    assert machine.records[-1].code == CloseCode.NORMAL
    machine.nodes.told_to_leave(1)
    machine.nodes.closed(1, CloseCode.NORMAL)
    assert len(machine.records) == 2


async def test_what_was_not_reported_goes_out_before_the_end(machine):
    machine.open()
    machine.nodes.beat(1, Beat(5, 6, 7, "1.0"))
    machine.advance(8)
    machine.answer()
    machine.nodes.closed(1, 1000)
    opened, described, report, closed = machine.records
    assert [type(record) for record in (opened, described, closed)] == [Opened, Described, Closed]
    assert (report.bytes_up, report.errors, report.end - report.start, report.answered) == (5, 7, 8, 1)

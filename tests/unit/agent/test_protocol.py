"""The node's side of the protocol, without a socket."""

import contextlib
import random
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.agent.protocol import (
    BACKOFF_BASE,
    BACKOFF_CAP,
    SILENT_INTERVALS,
    STABLE_AFTER,
    WELCOME_TIMEOUT,
    Again,
    Dead,
    Leave,
    Online,
    Reconnects,
    Refused,
    Session,
    Stop,
    TokenWanted,
    Traffic,
    decode,
)
from core.errors import CloseCode
from core.messages import (
    Auth,
    Beat,
    Challenge,
    ChallengeReply,
    Error,
    Limits,
    Pong,
    Reconnect,
    TokenExpiring,
    Welcome,
    challenge_bytes,
    msgpack_encode,
)

NODE = UUID("01900000-0000-7000-8000-000000000001")
SESSION = UUID("01900000-0000-7000-8000-000000000002")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
WELCOME = Welcome(SESSION, "w1", NOW, 25.0, NOW, Limits(65536, 32))


def new_session(now=0.0, traffic=None):
    return Session(KEY.sign, NODE, beat_interval=10.0, version="1.2.3", traffic=traffic or Traffic(), now=now)


@pytest.fixture
def online():
    session = new_session()
    session.receive(WELCOME, 0.0)
    return session


class TestWelcome:
    def test_it_brings_the_node_online(self):
        session = new_session()
        assert session.online_since is None
        assert session.receive(WELCOME, 1.0) == [Online(WELCOME)]
        assert session.online_since == 1.0

    def test_another_one_after_a_renewal_changes_nothing(self, online):
        assert online.receive(WELCOME, 30.0) == []
        assert online.online_since == 0.0

    def test_a_server_that_never_says_it_is_dead(self):
        session = new_session(now=5.0)
        assert session.deadline == 5.0 + WELCOME_TIMEOUT
        assert session.tick(5.0 + WELCOME_TIMEOUT) == [Dead(WELCOME_TIMEOUT)]


class TestBeats:
    def test_one_is_due_every_interval(self, online):
        assert online.deadline == 10.0
        assert online.tick(9.9) == []
        assert online.tick(10.0) == [Beat(0, 0, 0, "1.2.3")]
        assert online.deadline == 20.0

    def test_they_carry_what_happened_since_the_last(self):
        traffic = Traffic()
        session = new_session(traffic=traffic)
        session.receive(WELCOME, 0.0)
        traffic.up, traffic.down, traffic.errors = 100, 200, 3
        assert session.tick(10.0) == [Beat(100, 200, 3, "1.2.3")]
        session.heard(10.0)
        assert session.tick(20.0) == [Beat(0, 0, 0, "1.2.3")]

    def test_a_late_tick_is_not_made_up_for(self, online):
        online.heard(35.0)
        assert len(online.tick(35.0)) == 1
        assert online.tick(35.1) == []
        assert online.deadline == 45.0

    def test_what_one_connection_left_is_told_on_the_next(self):
        traffic = Traffic()
        first = new_session(traffic=traffic)
        first.receive(WELCOME, 0.0)
        traffic.up = 42
        second = new_session(now=5.0, traffic=traffic)
        second.receive(WELCOME, 5.0)
        assert second.tick(15.0) == [Beat(42, 0, 0, "1.2.3")]


class TestChallenges:
    def test_the_answer_is_a_signature_that_verifies(self, online):
        nonce = bytes(range(32))
        [reply] = online.receive(Challenge(nonce, NOW), 1.0)
        assert isinstance(reply, ChallengeReply)
        assert reply.nonce == nonce
        KEY.public_key().verify(reply.signature, challenge_bytes(nonce, NODE, SESSION))

    def test_before_the_welcome_there_is_nothing_to_sign(self):
        assert new_session().receive(Challenge(bytes(32), NOW), 0.0) == []

    def test_a_nonce_of_the_wrong_size_is_not_signed(self, online):
        assert online.receive(Challenge(b"short", NOW), 0.0) == []


class TestTheRest:
    def test_an_expiring_token_is_renewed_on_the_same_connection(self, online):
        assert online.receive(TokenExpiring(NOW), 1.0) == [TokenWanted()]
        assert online.renewed("fresh") == [Auth("fresh")]

    def test_an_error_is_reported_and_counted(self):
        traffic = Traffic()
        session = new_session(traffic=traffic)
        assert session.receive(Error("bad_message", "No."), 0.0) == [Refused("bad_message", "No.")]
        assert traffic.errors == 1

    def test_a_pong_needs_no_answer(self, online):
        assert online.receive(Pong(NOW), 1.0) == []

    def test_reconnect_means_leave_and_come_back_when_told(self, online):
        assert online.receive(Reconnect(1500), 1.0) == [Leave(1.5)]

    def test_after_leaving_nothing_more_is_said(self, online):
        online.receive(Reconnect(0), 1.0)
        assert online.receive(Challenge(bytes(32), NOW), 2.0) == []
        assert online.tick(1000.0) == []
        assert online.renewed("late") == []

    def test_a_silent_server_is_dead_after_two_and_a_half_ping_intervals(self, online):
        patience = 25.0 * SILENT_INTERVALS
        online.heard(100.0)
        assert not any(isinstance(item, Dead) for item in online.tick(100.0 + patience - 0.1))
        assert online.tick(100.0 + patience) == [Dead(patience)]
        assert online.tick(1000.0) == []


class TestDecode:
    def test_reads_what_the_server_says(self):
        assert decode(msgpack_encode(WELCOME)) == WELCOME

    def test_passes_over_kinds_and_fields_of_later_versions(self):
        assert decode(msgspec.msgpack.encode({"type": "fireworks", "colour": "red"})) is None
        known = msgspec.msgpack.encode({"type": "reconnect", "after_ms": 5, "mood": "good"})
        assert decode(known) == Reconnect(5)

    @given(st.binary(max_size=200))
    def test_garbage_is_an_error_of_one_kind(self, data):
        with contextlib.suppress(msgspec.DecodeError):
            decode(data)


class TestReconnects:
    @given(faults=st.integers(1, 40), seed=st.integers())
    def test_delays_grow_within_their_bounds(self, faults, seed):
        reconnects = Reconnects(random.Random(seed))
        for attempt in range(faults):
            again = reconnects.failed()
            assert 0 <= again.delay <= min(BACKOFF_CAP, BACKOFF_BASE * 2**attempt)

    @given(wait=st.floats(0, 3600), seed=st.integers())
    def test_a_wait_that_the_server_asked_for_is_kept(self, wait, seed):
        again = Reconnects(random.Random(seed)).failed(at_least=wait)
        assert wait <= again.delay <= wait + BACKOFF_BASE

    def test_a_stable_minute_forgets_the_failures_before(self):
        reconnects = Reconnects(_Longest())
        for _ in range(20):
            reconnects.failed()
        assert reconnects.closed(1006, online_for=STABLE_AFTER - 1).delay == BACKOFF_CAP
        assert reconnects.closed(1006, online_for=STABLE_AFTER).delay == BACKOFF_BASE

    def test_the_time_that_the_server_assigned_is_taken_as_it_is(self):
        assert Reconnects().told(2.5) == Again(2.5)

    @pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 4001, 4008, 4012, 4499, 3000])
    def test_these_codes_mean_come_back(self, code):
        verdict = Reconnects().closed(code)
        assert isinstance(verdict, Again)
        assert not verdict.fresh_token

    @pytest.mark.parametrize("code", [4502, 4504, 4505, 4506, 4999])
    def test_these_codes_mean_stay_away(self, code):
        verdict = Reconnects().closed(code)
        assert isinstance(verdict, Stop)
        assert str(code) in verdict.reason

    @pytest.mark.parametrize("code", [CloseCode.UNAUTHENTICATED, CloseCode.REVOKED])
    def test_a_refused_token_is_replaced_once(self, code):
        reconnects = Reconnects()
        first = reconnects.closed(code)
        assert isinstance(first, Again)
        assert first.fresh_token
        assert isinstance(reconnects.closed(code), Stop)

    def test_a_welcome_in_between_earns_another_fresh_token(self):
        reconnects = Reconnects()
        reconnects.closed(CloseCode.UNAUTHENTICATED)
        reconnects.accepted()
        assert isinstance(reconnects.closed(CloseCode.UNAUTHENTICATED), Again)


class _Longest(random.Random):
    def uniform(self, a, b):
        return b

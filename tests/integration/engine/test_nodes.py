"""What a worker measures of nodes, and what reaches the ingest stream of it."""

import asyncio
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.waiting import eventually
from support.websocket import Socket, client_frame

from core.errors import CloseCode, StorageUnavailable
from core.messages import MSGPACK_SUBPROTOCOL, Beat, challenge_bytes, msgpack_encode
from ext import frames
from services.events import INGEST_STREAM
from storage.base import Batch, Closed, Described, Health, Opened, Report
from storage.rtt import BUCKETS


async def _records(engine) -> list[object]:
    entries = await engine.streams.read({INGEST_STREAM: "0-0"}, 1000, 0)
    batches = [msgspec.msgpack.decode(payload, type=Batch) for _, _, payload in entries]
    assert [batch.sequence for batch in batches] == list(range(1, len(batches) + 1))
    return [record for batch in batches for record in batch.records]


async def _recorded(engine, kind: type, count: int = 1) -> list[object]:
    found: list[object] = []

    async def there() -> bool:
        found[:] = [record for record in await _records(engine) if isinstance(record, kind)]
        return len(found) >= count

    await eventually(there)
    return found


def _answer(challenge, key, node, session) -> dict[str, object]:
    nonce = challenge["nonce"]
    return {
        "type": "challenge_reply",
        "nonce": nonce,
        "signature": key.sign(challenge_bytes(nonce, node.node_id, session)),
    }


async def _sums(engine, field: str, least: int = 1) -> int:
    """The sum of a field of all reports, once it is `least`."""
    total = 0

    async def there() -> bool:
        nonlocal total
        total = sum(getattr(record, field) for record in await _records(engine) if isinstance(record, Report))
        return total >= least

    await eventually(there)
    return total


def _seconds(records: list[object]) -> list[tuple[int, int]]:
    """The confirmed intervals of the reports, in seconds since the epoch."""
    reports = [record for record in records if isinstance(record, Report) and record.end > record.start]
    return [(report.hour * 3600 + report.start, report.hour * 3600 + report.end) for report in reports]


async def _gone(engine) -> None:
    async def gone() -> bool:
        return engine.metric("connections_open") == 0

    await eventually(gone)


async def test_the_time_between_answered_challenges_is_confirmed(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05, "network.report_interval": 60.0})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    opened_ms = engine.house.now_ms
    first = await socket.receive("challenge")
    engine.advance(seconds=3)
    socket.send(_answer(first, key, node, session))
    second = await socket.receive("challenge")
    engine.advance(seconds=20)
    socket.send(_answer(second, key, node, session))
    await socket.receive("challenge")
    engine.advance(seconds=100)
    await socket.leave()
    (closed,) = await _recorded(engine, Closed)
    records = await _records(engine)
    assert records[0] == Opened(node.node_id, session, opened_ms, "127.0.0.1")
    assert sum(end - start for start, end in _seconds(records)) == 23
    assert _seconds(records)[0][0] == opened_ms // 1000
    assert records[-1] == closed == Closed(node.node_id, session, opened_ms + 123_000, 1006)


async def test_sums_reach_the_stream_while_the_connection_lasts(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    for _ in range(2):
        challenge = await socket.receive("challenge")
        engine.advance(seconds=5)
        socket.send(_answer(challenge, key, node, session))
    assert await _sums(engine, "answered", 2) == 2
    assert sum(end - start for start, end in _seconds(await _records(engine))) == 10


async def test_a_wrong_signature_confirms_nothing_and_counting_starts_anew(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    first = await socket.receive("challenge")
    engine.advance(seconds=3)
    socket.send(_answer(first, Ed25519PrivateKey.generate(), node, session))
    assert (await socket.receive("error"))["code"] == "wrong_signature"
    second = await socket.receive("challenge")
    socket.send(_answer(second, key, node, session))
    third = await socket.receive("challenge")
    engine.advance(seconds=5)
    socket.send(_answer(third, key, node, session))
    assert await _sums(engine, "answered", 2) == 2
    assert await _sums(engine, "refused") == 1
    now_s = engine.house.now_ms // 1000
    assert _seconds(await _records(engine)) == [(now_s - 5, now_s)]
    assert engine.metric("challenges_forged_total") == 1


async def test_an_answer_counts_from_when_it_came_even_if_the_connection_ends_before_it_is_verified(engine):
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    challenge = await socket.receive("challenge")
    engine.advance(seconds=7)
    socket.send(_answer(challenge, key, node, session))
    socket.send_frame(frames.CLOSE, (1000).to_bytes(2, "big"))
    await _recorded(engine, Closed)
    assert sum(end - start for start, end in _seconds(await _records(engine))) == 7
    assert await _sums(engine, "answered") == 1


async def test_an_answer_serves_once_and_only_its_own_nonce(engine):
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    challenge = await socket.receive("challenge")
    foreign = {"nonce": bytes(32)}
    socket.send(_answer(foreign, key, node, session))
    assert (await socket.receive("error"))["code"] == "challenge_unknown"
    socket.send(_answer(challenge, key, node, session))
    socket.send(_answer(challenge, key, node, session))
    assert (await socket.receive("error"))["code"] == "challenge_unknown"
    assert await _sums(engine, "refused", 2) == 2
    assert await _sums(engine, "answered") == 1
    assert engine.metric("challenges_answered_total") == 1
    assert engine.metric("challenges_refused_total") == 2
    assert engine.metric("challenges_foreign_total") == 1
    assert engine.metric("challenges_replayed_total") == 1


async def test_after_a_reconnect_neither_the_old_challenge_nor_the_old_session_serves(engine):
    owner, _ = await engine.person()
    node, key, token = await engine.node(owner)
    sockets = []
    for _ in range(2):
        socket, welcome = await engine.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
        sockets.append((socket, UUID(welcome["session"]), await socket.receive("challenge")))
        if len(sockets) == 1:
            await socket.leave()
            await _gone(engine)
    (_, old_session, old), (socket, session, challenge) = sockets
    socket.send(_answer(old, key, node, session))
    assert (await socket.receive("error"))["code"] == "challenge_unknown"
    # The answer to the new one, signed for the old session.
    socket.send(_answer(challenge, key, node, old_session))
    assert (await socket.receive("error"))["code"] == "wrong_signature"
    assert await _sums(engine, "refused", 2) == 2
    assert _seconds(await _records(engine)) == []
    assert engine.metric("challenges_answered_total") == 0


async def test_the_answer_to_a_former_challenge_is_refused(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    former = _answer(await socket.receive("challenge"), key, node, session)
    socket.send(former)
    newest = await socket.receive("challenge")
    socket.send(former)
    assert (await socket.receive("error"))["code"] == "challenge_unknown"
    socket.send(_answer(newest, key, node, session))
    assert await _sums(engine, "answered", 2) == 2
    assert await _sums(engine, "refused") == 1
    assert engine.metric("challenges_refused_total") == 1


async def test_two_with_one_key_can_each_answer_only_for_itself(engine):
    owner, _ = await engine.person()
    node, key, token = await engine.node(owner)
    twins = []
    for _ in range(2):
        socket, welcome = await engine.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
        twins.append((socket, UUID(welcome["session"]), await socket.receive("challenge")))
    (one, session, challenge), (other, other_session, other_challenge) = twins
    assert session != other_session
    # What one answered rightly serves the other for nothing: neither as it is nor for its own challenge.
    right = _answer(challenge, key, node, session)
    other.send(right)
    assert (await other.receive("error"))["code"] == "challenge_unknown"
    other.send(_answer(other_challenge, key, node, session))
    assert (await other.receive("error"))["code"] == "wrong_signature"
    engine.advance(seconds=4)
    one.send(right)
    assert await _sums(engine, "answered") == 1
    records = [record for record in await _records(engine) if isinstance(record, Report)]
    assert {record.connection_id for record in records if record.answered} == {session}
    assert {record.connection_id for record in records if record.refused} == {other_session}
    assert sum(end - start for start, end in _seconds(records)) == 4
    assert engine.metric("challenges_foreign_total") == 1
    assert engine.metric("challenges_forged_total") == 1
    assert engine.metric("connections_nodes") == 2


async def test_one_node_cannot_answer_for_another(engine):
    owner, _ = await engine.person()
    honest, node, key, session = await engine.join_node(owner)
    other, stranger, other_key, other_session = await engine.join_node(owner)
    challenge = await honest.receive("challenge")
    own = await other.receive("challenge")
    other.send(_answer(challenge, other_key, stranger, other_session))
    assert (await other.receive("error"))["code"] == "challenge_unknown"
    # A right answer of another node, to the one's own challenge.
    other.send(_answer(own, key, node, session))
    assert (await other.receive("error"))["code"] == "wrong_signature"
    honest.send(_answer(challenge, key, node, session))
    assert await _sums(engine, "answered") == 1
    records = [record for record in await _records(engine) if isinstance(record, Report)]
    assert {record.node_id for record in records if record.answered} == {node.node_id}
    assert {record.node_id for record in records if record.refused} == {stranger.node_id}


async def test_a_late_answer_is_refused(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 1.0, "network.challenge_timeout": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    challenge = await socket.receive("challenge")
    assert await _sums(engine, "missed") == 1
    socket.send(_answer(challenge, key, node, session))
    assert (await socket.receive("error"))["code"] == "challenge_unknown"
    assert await _sums(engine, "refused") == 1
    assert engine.metric("challenges_missed_total") == 1
    assert engine.metric("challenges_late_total") == 1


async def test_two_failures_in_a_row_make_a_node_unsound_and_two_answers_sound_again(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05, "network.challenge_timeout": 5.0})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    for right in (True, False, True, False, False, True, False, True, True, True):
        challenge = await socket.receive("challenge")
        socket.send(_answer(challenge, key if right else Ed25519PrivateKey.generate(), node, session))
    changes = await _recorded(engine, Health, 2)
    assert [(change.node_id, change.connection_id, change.sound) for change in changes] == [
        (node.node_id, session, False),
        (node.node_id, session, True),
    ]


async def test_beats_are_added_up_and_the_version_is_told_when_it_changes(engine):
    owner, _ = await engine.person()
    socket, node, _, session = await engine.join_node(owner)
    beat = {"type": "beat", "bytes_up": 10, "bytes_down": 20, "errors": 1, "agent_version": "1.2.3"}
    socket.send(beat)
    socket.send(beat)
    assert await _sums(engine, "bytes_up", 20) == 20
    assert await _sums(engine, "bytes_down", 40) == 40
    assert await _sums(engine, "errors", 2) == 2
    socket.send({**beat, "agent_version": "1.2.4"})
    described = await _recorded(engine, Described, 2)
    assert described == [
        Described(node.node_id, session, "1.2.3"),
        Described(node.node_id, session, "1.2.4"),
    ]


async def test_beats_between_two_reports_are_added_up_and_none_is_lost_with_its_connection(make_engine):
    engine = await make_engine(**{"network.flush_interval": 60.0, "network.report_interval": 300.0})
    owner, _ = await engine.person()
    socket, node, _, session = await engine.join_node(owner)
    for number in range(1, 5):
        socket.send({"type": "beat", "bytes_up": number, "bytes_down": 2, "agent_version": f"1.{number}"})
    await socket.leave()
    await _gone(engine)
    await engine.worker.stop()
    records = await _records(engine)
    reports = [record for record in records if isinstance(record, Report)]
    assert [(r.node_id, r.connection_id, r.bytes_up, r.bytes_down) for r in reports] == [
        (node.node_id, session, 10, 8)
    ]
    assert [record.agent_version for record in records if isinstance(record, Described)] == ["1.1", "1.4"]


async def test_a_node_tells_of_no_more_than_its_line_can_carry(make_engine):
    # A kilobyte a second, for the minute that a node may have been away.
    engine = await make_engine(**{"network.max_rate": 8000})
    owner, _ = await engine.person()
    socket, *_ = await engine.join_node(owner)
    socket.send({"type": "beat", "bytes_up": 59_000, "bytes_down": 1})
    socket.send({"type": "beat", "bytes_up": 1, "bytes_down": 59_000})
    assert (await socket.receive("error"))["code"] == "impossible_beat"
    assert await _sums(engine, "bytes_up", 59_000) == 59_000
    assert await _sums(engine, "refused") == 1
    assert engine.metric("beats_refused_total") == 1


async def test_round_trips_are_measured_by_the_engines_own_pings(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    for _ in range(3):
        challenge = await socket.receive("challenge")
        socket.send(_answer(challenge, key, node, session))
    assert await _sums(engine, "answered", 3) == 3
    reports = [record for record in await _records(engine) if isinstance(record, Report)]
    assert sum(sum(report.rtt) for report in reports) == 3
    assert all(len(report.rtt) in (0, BUCKETS) for report in reports)
    assert 0 < reports[-1].rtt_us < 10_000_000
    assert engine.metric("round_trips_total") == 3


async def test_made_up_pongs_measure_nothing(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    for _ in range(3):
        opcode, payload = await socket.frame()
        assert opcode == frames.PING
        for made_up in (bytes(8), payload[::-1], bytes([payload[0] ^ 1]) + payload[1:], payload[:7]):
            socket.send_frame(frames.PONG, made_up)
        challenge = await socket.receive("challenge")
        socket.send(_answer(challenge, key, node, session))
    assert await _sums(engine, "answered", 3) == 3
    assert engine.metric("round_trips_total") == 0


async def test_who_was_asked_to_leave_ended_by_our_doing(engine):
    owner, _ = await engine.person()
    socket, node, _, session = await engine.join_node(owner)
    draining = asyncio.create_task(engine.worker.drain())
    await socket.receive("reconnect")
    socket.send_frame(frames.CLOSE, (1000).to_bytes(2, "big"))
    await draining
    (closed,) = await _recorded(engine, Closed)
    assert closed == Closed(node.node_id, session, engine.house.now_ms, CloseCode.DRAIN)


async def test_who_leaves_unasked_left_by_itself_whatever_code_it_says(engine):
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    challenge = await socket.receive("challenge")
    socket.send(_answer(challenge, key, node, session))
    socket.send_frame(frames.CLOSE, CloseCode.DRAIN.to_bytes(2, "big"))
    (closed,) = await _recorded(engine, Closed)
    assert closed.code == CloseCode.NORMAL


@pytest.mark.parametrize(
    ("answers", "sound"),
    [
        pytest.param([], True, id="who was not asked for long"),
        pytest.param([(True, 2)], True, id="who answered"),
        pytest.param([(True, 2), (False, 1)], False, id="who failed last"),
        pytest.param([(True, 2), (False, 1), (True, 1)], False, id="who earned nothing since"),
        pytest.param([(True, 2), (False, 1), (True, 1), (True, 2)], True, id="who earned a second since"),
    ],
)
async def test_who_is_drained_while_failing_is_unsound_at_the_end(make_engine, answers, sound):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    for right, seconds in answers:
        challenge = await socket.receive("challenge")
        engine.advance(seconds=seconds)
        socket.send(_answer(challenge, key if right else Ed25519PrivateKey.generate(), node, session))
    await socket.receive("challenge")
    await engine.worker.stop()
    (closed,) = await _recorded(engine, Closed)
    told = [record for record in await _records(engine) if isinstance(record, Health)]
    expected = [] if sound else [Health(node.node_id, session, closed.at_ms, sound=False)]
    assert told == expected
    assert closed.code == CloseCode.DRAIN


async def test_whom_a_worker_drops_as_it_stops_ended_by_our_doing(engine):
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    challenge = await socket.receive("challenge")
    engine.advance(seconds=4)
    socket.send(_answer(challenge, key, node, session))
    assert await _sums(engine, "answered") == 1
    await engine.worker.stop()
    (closed,) = await _recorded(engine, Closed)
    assert closed.code == CloseCode.DRAIN


@pytest.mark.parametrize(
    "beat",
    [
        pytest.param({"bytes_up": -1}, id="fewer bytes than before"),
        pytest.param({"bytes_up": (1 << 50) + 1}, id="absurdly many"),
        pytest.param({"bytes_down": 1 << 63}, id="more than a signed word holds"),
        pytest.param({"bytes_up": 1.5}, id="half a byte"),
        pytest.param({"bytes_up": float("nan")}, id="no number"),
        pytest.param({"errors": -1}, id="fewer errors than before"),
        pytest.param({"errors": 1 << 40}, id="absurdly many errors"),
        pytest.param({"agent_version": "x" * 65}, id="a long version"),
        pytest.param({"at": "2199-01-01T00:00:00Z"}, id="a clock from the future"),
        pytest.param({"seconds": 3600}, id="seconds of its own"),
    ],
)
async def test_absurd_beats_are_refused_and_nothing_of_them_counts(engine, beat):
    owner, _ = await engine.person()
    socket, node, _, session = await engine.join_node(owner)
    good = {"type": "beat", "bytes_up": 1, "bytes_down": 2, "errors": 3}
    socket.send({**good, **beat})
    assert (await socket.receive("error"))["code"] == "bad_message"
    assert engine.metric("messages_refused_total") == 1
    socket.send(good)
    await socket.leave()
    await _recorded(engine, Closed)
    (report,) = [record for record in await _records(engine) if isinstance(record, Report)]
    assert (report.node_id, report.connection_id) == (node.node_id, session)
    assert (report.bytes_up, report.bytes_down, report.errors, report.end) == (1, 2, 3, 0)


async def test_a_flood_of_beats_ends_its_connection_and_those_that_were_let_in_count(engine):
    owner, _ = await engine.person()
    socket, *_ = await engine.join_node(owner)
    await socket.receive("challenge")
    beat = client_frame(frames.BINARY, msgpack_encode(Beat(1, 2)))
    socket.send_raw(beat * 5000)
    assert (await socket.closed())[0] == CloseCode.RATE_LIMIT
    await socket.leave()
    (closed,) = await _recorded(engine, Closed)
    assert closed.code == CloseCode.RATE_LIMIT
    # One of the burst was the pong that belongs to the challenge.
    assert engine.config.ws.message_burst - 1 <= await _sums(engine, "bytes_up") < 5000
    assert engine.metric("rate_limited_total") == 1


async def test_people_cannot_beat_and_nodes_cannot_call(engine):
    owner, token = await engine.person()
    person, _ = await engine.join(token=token)
    person.send({"type": "beat", "bytes_up": 1, "bytes_down": 1})
    assert (await person.receive("error"))["code"] == "not_a_node"
    node, *_ = await engine.join_node(owner)
    node.send({"type": "subscribe", "channel": "me"})
    assert (await node.receive("error"))["code"] == "forbidden"
    node.send({"type": "call", "id": 1, "method": "me.overview"})
    assert (await node.receive("error"))["code"] == "forbidden"


async def test_observations_wait_while_the_stream_is_away_and_arrive_once(engine, monkeypatch):
    owner, _ = await engine.person()
    append = engine.streams.append
    away = True

    async def flaky(stream, payload, max_length=None):
        if away:
            # The append happened, but nobody heard of it: it will be done again.
            await append(stream, payload, max_length)
            raise StorageUnavailable("Redis is away")
        return await append(stream, payload, max_length)

    monkeypatch.setattr(engine.streams, "append", flaky)
    await engine.join_node(owner)

    async def failed() -> bool:
        return engine.metric("records_failures_total") >= 1

    await eventually(failed)
    away = False

    async def delivered() -> bool:
        return engine.metric("records_waiting") == 0

    await eventually(delivered)
    entries = await engine.streams.read({INGEST_STREAM: "0-0"}, 1000, 0)
    batches = [msgspec.msgpack.decode(payload, type=Batch) for _, _, payload in entries]
    assert len({batch.sequence for batch in batches}) == len({tuple(b.records) for b in batches})
    assert {batch.sequence for batch in batches} >= {1}


@pytest.mark.parametrize("when", ["at the handshake", "later"])
async def test_behind_a_trusted_proxy_a_node_has_the_address_that_the_proxy_tells(
    make_engine, when: str
) -> None:
    engine = await make_engine(**{"http.trusted_proxies": ["127.0.0.0/8"]})
    owner, _ = await engine.person()
    _, _, token = await engine.node(owner)
    # The second is of a kind of request that is known already.
    for _ in range(2):
        request = {"extra": [("X-Forwarded-For", "198.51.100.7, 203.0.113.9")]}
        if when == "later":
            socket = await Socket.open(engine.port, **request)
            socket.send({"type": "auth", "token": token})
            await socket.receive("welcome")
        else:
            await engine.join(token=token, **request)
    opened = await _recorded(engine, Opened, 2)
    assert [record.address for record in opened] == ["203.0.113.9"] * 2


async def test_what_a_node_says_of_its_address_itself_does_not_count(engine) -> None:
    owner, _ = await engine.person()
    _, _, token = await engine.node(owner)
    await engine.join(token=token, extra=[("X-Forwarded-For", "203.0.113.9")])
    (opened,) = await _recorded(engine, Opened)
    assert opened.address == "127.0.0.1"

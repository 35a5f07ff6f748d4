"""What a worker measures of nodes, and what reaches the ingest stream of it."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.waiting import eventually
from support.websocket import Socket

from core.errors import StorageUnavailable
from core.messages import challenge_bytes
from services.events import INGEST_STREAM
from storage.base import Batch, Closed, Confirmed, Opened, Reported


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


async def test_the_time_between_answered_challenges_is_confirmed(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05})
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
    assert [r for r in records if isinstance(r, Confirmed)] == [
        Confirmed(node.node_id, session, opened_ms, opened_ms + 3_000),
        Confirmed(node.node_id, session, opened_ms + 3_000, opened_ms + 23_000),
    ]
    assert closed == Closed(node.node_id, session, opened_ms + 123_000, 1006)


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
    (confirmed,) = await _recorded(engine, Confirmed)
    assert (confirmed.from_ms, confirmed.to_ms) == (engine.house.now_ms - 5000, engine.house.now_ms)


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
    assert engine.metric("challenges_answered_total") == 1
    assert engine.metric("challenges_refused_total") == 2


async def test_a_late_answer_is_refused(make_engine):
    engine = await make_engine(**{"network.challenge_interval": 0.05, "network.challenge_timeout": 0.05})
    owner, _ = await engine.person()
    socket, node, key, session = await engine.join_node(owner)
    missed = await socket.receive("challenge")
    await socket.receive("challenge")
    socket.send(_answer(missed, key, node, session))
    assert (await socket.receive("error"))["code"] == "challenge_unknown"
    assert engine.metric("challenges_missed_total") == 1


async def test_beats_are_recorded(engine):
    owner, _ = await engine.person()
    socket, node, _, session = await engine.join_node(owner)
    socket.send({"type": "beat", "bytes_up": 10, "bytes_down": 20, "errors": 1, "agent_version": "1.2.3"})
    (reported,) = await _recorded(engine, Reported)
    assert reported == Reported(node.node_id, session, engine.house.now_ms, 10, 20, 1, "1.2.3")


async def test_beats_between_two_appends_are_added_up_and_none_is_lost_with_its_connection(make_engine):
    engine = await make_engine(**{"network.flush_interval": 60.0})
    owner, _ = await engine.person()
    socket, node, _, session = await engine.join_node(owner)
    await _recorded(engine, Opened)
    for number in range(1, 5):
        socket.send({"type": "beat", "bytes_up": number, "bytes_down": 2, "agent_version": f"1.{number}"})
    await socket.leave()

    async def gone() -> bool:
        return engine.metric("connections_open") == 0

    await eventually(gone)
    await engine.worker.stop()
    reports = [record for record in await _records(engine) if isinstance(record, Reported)]
    assert [(r.node_id, r.session_id, r.agent_version) for r in reports] == [(node.node_id, session, "1.4")]
    assert (reports[0].bytes_up, reports[0].bytes_down) == (10, 8)


@pytest.mark.parametrize("beat", [{"bytes_up": -1, "bytes_down": 0}, {"bytes_up": 1 << 51, "bytes_down": 0}])
async def test_absurd_beats_are_refused(engine, beat):
    owner, _ = await engine.person()
    socket, *_ = await engine.join_node(owner)
    socket.send({"type": "beat", **beat})
    assert (await socket.receive("error"))["code"] == "bad_message"


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

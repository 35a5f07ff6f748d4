"""Authentication, channels and calls over a real socket."""

import io
import json
from datetime import datetime, timedelta

import pytest
from support.earned import Farm
from support.waiting import eventually
from support.websocket import Socket

from core import logs
from core.errors import CloseCode
from core.messages import BEARER_PREFIX, JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from ext import frames
from services.earnings import epoch_closed


async def test_a_token_may_come_as_first_message(engine):
    _, token = await engine.person()
    socket = await Socket.open(engine.port)
    socket.send({"type": "auth", "token": token})
    welcome = await socket.receive("welcome")
    assert welcome["ping_interval"] == engine.config.ws.ping_interval
    assert welcome["limits"] == {"message_bytes": 65536, "subscriptions": 32}


@pytest.mark.parametrize("way", ["header", "subprotocol", "message"])
@pytest.mark.parametrize("token", ["wrong", "a.b.c", "expired"])
async def test_a_bad_token_ends_the_connection_for_good(engine, way, token):
    if token == "expired":
        _, token = await engine.person()
        engine.advance(seconds=601)
    if way == "header":
        socket = await Socket.open(engine.port, token=token)
    elif way == "subprotocol":
        socket = await Socket.open(engine.port, subprotocols=f"{JSON_SUBPROTOCOL}, {BEARER_PREFIX}{token}")
    else:
        socket = await Socket.open(engine.port)
        socket.send({"type": "auth", "token": token})
    code, reason = await socket.closed()
    assert code == CloseCode.UNAUTHENTICATED
    assert reason in ("token_invalid", "token_expired")


async def test_an_enrolment_token_opens_no_socket(engine):
    user, _ = await engine.person()
    token, _ = engine.house.tokens.for_enrolment(user.user_id)
    socket = await Socket.open(engine.port, token=token)
    assert (await socket.closed())[0] == CloseCode.UNAUTHENTICATED


async def test_who_says_nothing_is_let_go(make_engine):
    engine = await make_engine(**{"ws.auth_timeout": 0.05})
    socket = await Socket.open(engine.port)
    assert (await socket.closed())[0] == CloseCode.AUTH_TIMEOUT


async def test_whoever_speaks_before_authenticating_is_let_go(engine):
    socket = await Socket.open(engine.port)
    socket.send({"type": "ping"})
    assert (await socket.receive("error"))["code"] == "unauthenticated"
    assert (await socket.closed())[0] == CloseCode.UNAUTHENTICATED


@pytest.mark.parametrize("subprotocol", [JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL])
async def test_me_begins_with_a_snapshot_and_goes_on_with_events(engine, subprotocol):
    user, token = await engine.person()
    node, _, _ = await engine.node(user)
    socket, _ = await engine.join(token=token, subprotocols=subprotocol)
    socket.send({"type": "subscribe", "channel": "me"})
    subscribed = await socket.receive("subscribed")
    assert (subscribed["channel"], subscribed["recovered"]) == ("me", False)
    snapshot = await socket.receive("snapshot")
    assert snapshot["data"]["nodes_total"] == 1
    assert snapshot["data"]["nodes"][0]["node_id"] == str(node.node_id)
    assert (snapshot["data"]["balance"], snapshot["data"]["accruing"]) == ("0", None)
    await engine.events.publish_to_users("me", {user.user_id: (7, {"balance": "9" * 30})})
    event = await socket.receive("event")
    assert (event["channel"], event["offset"], event["data"]) == ("me", 7, {"balance": "9" * 30})


async def test_events_of_a_user_reach_all_their_sockets_and_nobody_elses(engine):
    ada, ada_token = await engine.person()
    _, bob_token = await engine.person()
    sockets = [(await engine.join(token=token))[0] for token in (ada_token, ada_token, bob_token)]
    for socket in sockets:
        socket.send({"type": "subscribe", "channel": "me"})
        await socket.receive("snapshot")
    await engine.events.publish_to_users("me", {ada.user_id: (1, "for ada")})
    await engine.events.publish("network", 1, "not subscribed")
    for socket in sockets[:2]:
        assert (await socket.receive("event"))["data"] == "for ada"
    sockets[2].send({"type": "ping"})
    assert (await sockets[2].receive())["type"] == "pong"


async def test_users_events_go_only_to_workers_that_hold_them(engine):
    other = await engine.start()
    user, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "me"})
    await socket.receive("snapshot")
    await engine.events.publish_to_users("me", {user.user_id: (1, "news")})
    assert (await socket.receive("event"))["data"] == "news"
    assert other.metrics()["bus_received_total"] == 0


async def test_a_user_without_sockets_is_held_nowhere(engine):
    user, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "me"})
    await socket.receive("snapshot")
    await socket.leave()

    async def released() -> bool:
        return await engine.presence.holders([user.user_id]) == {} and engine.metric("users_resident") == 0

    await eventually(released)


async def test_unsubscribing_ends_the_events(engine):
    user, token = await engine.person()
    socket, _ = await engine.join(token=token)
    for channel in ("me", "network"):
        socket.send({"type": "subscribe", "channel": channel})
        await socket.receive("snapshot")
    socket.send({"type": "unsubscribe", "channel": "me"})
    socket.send({"type": "ping"})
    await socket.receive("pong")
    await engine.events.publish_to_users("me", {user.user_id: (5, "unwanted")})
    await engine.events.publish("network", 6, "wanted")
    assert (await socket.receive("event"))["data"] == "wanted"


async def test_who_has_seen_the_newest_state_gets_no_snapshot(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "me"})
    first = await socket.receive("subscribed")
    await socket.receive("snapshot")
    socket.send({"type": "subscribe", "channel": "me", "offset": first["offset"], "epoch": first["epoch"]})
    assert (await socket.receive("subscribed"))["recovered"] is True
    socket.send({"type": "ping"})
    assert (await socket.receive())["type"] == "pong"


async def test_network_is_for_everybody_and_new_ones_get_the_last_value(engine):
    user, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "network"})
    assert (await socket.receive("snapshot"))["data"]["users_total"] == 1
    await engine.events.publish("network", 3, {"nodes_online": 12})
    assert (await socket.receive("event"))["data"] == {"nodes_online": 12}
    late, _ = await engine.join(token=engine.user_token(user))
    late.send({"type": "subscribe", "channel": "network"})
    snapshot = await late.receive("snapshot")
    assert (snapshot["offset"], snapshot["data"]) == (3, {"nodes_online": 12})


async def test_methods_answer_by_id(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "call", "id": 7, "method": "me.overview"})
    result = await socket.receive("result")
    assert (result["id"], result["data"]["nodes_total"]) == (7, 0)
    socket.send({"type": "call", "id": 8, "method": "network.summary"})
    assert (await socket.receive("result"))["data"]["users_total"] == 1
    socket.send({"type": "call", "id": 9, "method": "no.such"})
    error = await socket.receive("error")
    assert (error["id"], error["code"]) == (9, "unknown_method")
    socket.send({"type": "call", "id": 10, "method": "me.overview", "params": {"x": 1}})
    assert (await socket.receive("error"))["code"] == "bad_params"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"type":"nonsense"}',
        b'{"no":"type"}',
        b'{"type":"ping","extra":1}',
        b'{"type":"subscribe"}',
        b'{"type":"subscribe","channel":5}',
        b'{"type":"subscribe","channel":"Not A Channel"}',
        b'{"type":"subscribe","channel":"me","offset":-1}',
        b'{"type":"call","id":1,"method":"x","params":' + b'{"a":' * 2000 + b"1" + b"}" * 2001,
        b'{"type":"auth","token":""}',
        b'{"type":"challenge_reply","nonce":"AA==","signature":"AA=="}',
    ],
)
async def test_a_bad_message_gets_an_error_and_the_connection_lives(engine, payload):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send_frame(frames.TEXT, payload)
    assert (await socket.receive("error"))["code"] == "bad_message"
    socket.send({"type": "ping"})
    await socket.receive("pong")


async def test_whoever_keeps_sending_bad_messages_is_let_go(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    for _ in range(10):
        socket.send({"type": "nonsense"})
    assert (await socket.closed())[0] == CloseCode.BAD_MESSAGE


async def test_unknown_channels_are_refused(engine):
    _, token = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "subscribe", "channel": "weather"})
    assert (await socket.receive("error"))["code"] == "unknown_channel"


async def test_a_token_can_be_renewed_on_the_same_socket(make_engine):
    engine = await make_engine(**{"ws.expiry_notice": 599.95})
    user, token = await engine.person()
    socket, welcome = await engine.join(token=token)
    expiring = await socket.receive("token_expiring")
    ends = [datetime.fromisoformat(text) for text in (expiring["expires"], welcome["token_expires"])]
    assert abs(ends[0] - ends[1]) < timedelta(seconds=1)
    engine.advance(seconds=300)
    socket.send({"type": "auth", "token": engine.user_token(user)})
    renewed = await socket.receive("welcome")
    assert renewed["session"] == welcome["session"]
    assert renewed["token_expires"] > welcome["token_expires"]


async def test_a_token_that_is_not_renewed_ends_the_connection(engine):
    user, _ = await engine.person()
    token, expires = engine.house.tokens.for_user(user.user_id, user.user_id, "user")
    # Almost all of its life has passed when it is presented.
    engine.house.clock.advance(expires - engine.house.clock.now() - timedelta(milliseconds=80))
    socket, _ = await engine.join(token=token)
    assert (await socket.closed())[0] == CloseCode.REVOKED


async def test_another_users_token_cannot_take_a_socket_over(engine):
    _, token = await engine.person()
    _, other = await engine.person()
    socket, _ = await engine.join(token=token)
    socket.send({"type": "auth", "token": other})
    assert (await socket.closed())[0] == CloseCode.UNAUTHENTICATED


async def test_a_store_that_is_away_is_said_and_survived(engine, monkeypatch):
    from core.errors import StorageUnavailable

    _, token = await engine.person()
    socket, _ = await engine.join(token=token)

    async def away(user_ids):
        raise StorageUnavailable("PostgreSQL is away")

    with monkeypatch.context() as patch:
        patch.setattr(engine.house.figures, "look", away)
        socket.send({"type": "subscribe", "channel": "me"})
        assert (await socket.receive("error"))["code"] == "unavailable"
    socket.send({"type": "subscribe", "channel": "me"})
    await socket.receive("snapshot")


@pytest.mark.usefixtures("own_log_settings")
async def test_a_connection_can_be_followed_through_the_log_by_its_session(engine):
    out = io.StringIO()
    logs.configure("debug", "json", out)
    user, token = await engine.person()
    socket, welcome = await engine.join(token=token)
    await socket.leave()

    async def gone() -> bool:
        return engine.metric("connections_open") == 0

    await eventually(gone)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    mine = {line["event"]: line for line in lines if line.get("connection") == welcome["session"]}
    assert mine["connection opened"]["user"] == str(user.user_id)
    assert mine["connection closed"]["code"] == 1006
    assert token not in json.dumps(lines)


async def test_epoch_begins_with_the_newest_closed_one_and_goes_on_with_news(engine):
    house = engine.house
    user, token = await engine.person()
    first, _ = await engine.join(token=token)
    first.send({"type": "subscribe", "channel": "epoch"})
    assert (await first.receive("subscribed"))["offset"] == 0
    assert (await first.receive("snapshot"))["data"] is None

    farm = await Farm.begin(house)
    await farm.work({await farm.node(user): 60}, minutes=5)
    closed = await farm.close()
    late, _ = await engine.join(token=engine.user_token(user))
    late.send({"type": "subscribe", "channel": "epoch"})
    snapshot = await late.receive("snapshot")
    assert (snapshot["offset"], snapshot["data"]["number"]) == (1, 1)
    assert snapshot["data"]["pools"][0]["rewarded"] == str(farm.pool)

    await engine.events.publish("epoch", 1, epoch_closed(closed))
    event = await first.receive("event")
    assert (event["channel"], event["offset"], event["data"]) == ("epoch", 1, snapshot["data"])

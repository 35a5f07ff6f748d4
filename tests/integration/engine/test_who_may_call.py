"""Every WebSocket method and channel as everybody who can be connected, and at the door."""

from typing import Any

import pytest
from support.stores import make_user
from support.websocket import Socket

from core.clock import new_id
from core.engine.permissions import CHANNELS, METHODS, check_declared
from storage.base import User

PEOPLE = ("user", "support", "operator")


async def token_of(engine: Any, who: str) -> str:
    user = make_user(role=who if who in PEOPLE else "user")
    assert await engine.house.user_store.add(user)
    if who == "node":
        return str((await engine.node(user))[2])
    if who == "enrol":
        return str(engine.house.tokens.for_enrolment(user.user_id, new_id())[0])
    return str(engine.user_token(user))


@pytest.mark.parametrize("who", [*PEOPLE, "node"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_method_answers_whom_it_declares(engine: Any, who: str, method: str) -> None:
    socket, _ = await engine.join(token=await token_of(engine, who))
    socket.send({"type": "call", "id": 1, "method": method})
    if ("node" if who == "node" else "user") in METHODS[method]:
        assert (await socket.receive("result"))["id"] == 1
    else:
        error = await socket.receive("error")
        assert (error["id"], error["code"]) == (1, "forbidden")


@pytest.mark.parametrize("who", [*PEOPLE, "node"])
@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_channel_takes_whom_it_declares(engine: Any, who: str, channel: str) -> None:
    socket, _ = await engine.join(token=await token_of(engine, who))
    socket.send({"type": "subscribe", "channel": channel})
    if ("node" if who == "node" else "user") in CHANNELS[channel]:
        assert (await socket.receive("subscribed"))["channel"] == channel
    else:
        assert (await socket.receive("error"))["code"] == "forbidden"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "call", "id": 1, "method": "me.overview"},
        {"type": "subscribe", "channel": "network"},
        {"type": "beat", "bytes_up": 1, "bytes_down": 1},
        {"type": "ping"},
    ],
)
async def test_a_stranger_gets_nothing(engine: Any, message: dict[str, Any]) -> None:
    socket = await Socket.open(engine.port)
    socket.send(message)
    error = await socket.receive("error")
    assert error["code"] == "unauthenticated"


@pytest.mark.parametrize("who", PEOPLE)
async def test_only_nodes_tell_of_nodes(engine: Any, who: str) -> None:
    socket, _ = await engine.join(token=await token_of(engine, who))
    socket.send({"type": "beat", "bytes_up": 1, "bytes_down": 1})
    assert (await socket.receive("error"))["code"] == "not_a_node"


async def test_an_enrolment_token_opens_no_connection(engine: Any) -> None:
    socket = await Socket.open(engine.port, token=await token_of(engine, "enrol"))
    assert (await socket.closed())[0] == 4501


async def test_people_see_themselves_only(engine: Any) -> None:
    ada, bob = [await engine.person() for _ in range(2)]
    user: User = ada[0]
    await engine.node(user)
    for (_, token), nodes in ((ada, 1), (bob, 0)):
        socket, _ = await engine.join(token=token)
        socket.send({"type": "call", "id": 1, "method": "me.overview"})
        assert (await socket.receive("result"))["data"]["nodes_total"] == nodes


def test_what_is_not_declared_is_found_at_the_start() -> None:
    check_declared(METHODS, CHANNELS)
    for methods, channels in (([*METHODS, "me.erase"], CHANNELS), (METHODS, []), ([], CHANNELS)):
        with pytest.raises(LookupError):
            check_declared(methods, channels)

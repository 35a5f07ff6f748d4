import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from support.websocket import Socket

from core.clock import new_id
from core.errors import CloseCode, StorageUnavailable, Unauthenticated
from core.messages import MSGPACK_SUBPROTOCOL
from services.revocations import Revoked, mark
from services.sessions import SignIn
from storage.base import User

Engine = Any
ENDED = (CloseCode.REVOKED, "session ended")
REFUSED = (CloseCode.REVOKED, "token_revoked")


async def sign_in(engine: Engine, user: User) -> SignIn:
    signed_in: SignIn = await engine.house.sessions.open(user, "a browser", "192.0.2.1")
    return signed_in


async def end(engine: Engine, signed_in: SignIn) -> None:
    """Sign out, at an API process."""
    await engine.house.sessions.logout(engine.house.tokens.verify(signed_in.access_token))
    await announce(engine)


async def announce(engine: Engine) -> None:
    """Tell the workers what an API process told to tell."""
    for revoked in engine.house.ended:
        await engine.events.publish_revoked(revoked)
    engine.house.ended.clear()


async def answers(socket: Socket) -> bool:
    socket.send({"type": "ping"})
    await socket.receive("pong")
    return True


async def test_when_a_session_ends_its_connections_close_and_the_others_stay(engine: Engine) -> None:
    ada, bob = await engine.house.person(), await engine.house.person("bob@example.com")
    here, there, his = [await sign_in(engine, user) for user in (ada, ada, bob)]
    ending = [(await engine.join(token=here.access_token))[0] for _ in range(3)]
    staying = [(await engine.join(token=each.access_token))[0] for each in (there, his)]
    await end(engine, here)
    for socket in ending:
        assert await socket.closed() == ENDED
    for socket in staying:
        assert await answers(socket)
    assert engine.metric("closed_4503_total") == 0  # not before the clients have answered
    for socket in ending:
        await socket.leave()


async def test_every_worker_hears_of_it(engine: Engine) -> None:
    second = await engine.start()
    session = await sign_in(engine, await engine.house.person())
    sockets = [
        await Socket.open(worker.port, token=session.access_token) for worker in (engine.worker, second)
    ]
    await end(engine, session)
    for socket in sockets:
        assert await socket.closed() == ENDED


async def test_a_token_of_an_ended_session_opens_nothing(engine: Engine) -> None:
    session = await sign_in(engine, await engine.house.person())
    first, _ = await engine.join(token=session.access_token)
    await end(engine, session)
    assert await first.closed() == ENDED
    with_request = await Socket.open(engine.port, token=session.access_token)
    assert await with_request.closed() == REFUSED
    afterwards = await Socket.open(engine.port)
    afterwards.send({"type": "auth", "token": session.access_token})
    assert await afterwards.closed() == REFUSED


async def test_a_connection_cannot_be_renewed_with_such_a_token(engine: Engine) -> None:
    ada = await engine.house.person()
    here, there = await sign_in(engine, ada), await sign_in(engine, ada)
    socket, _ = await engine.join(token=here.access_token)
    witness, _ = await engine.join(token=there.access_token)
    await end(engine, there)
    assert await witness.closed() == ENDED
    socket.send({"type": "auth", "token": there.access_token})
    assert await socket.closed() == REFUSED


async def test_a_connection_belongs_to_the_session_that_renewed_it_last(engine: Engine) -> None:
    ada = await engine.house.person()
    first, second = await sign_in(engine, ada), await sign_in(engine, ada)
    socket, _ = await engine.join(token=first.access_token)
    witness, _ = await engine.join(token=first.access_token)
    socket.send({"type": "auth", "token": second.access_token})
    await socket.receive("welcome")
    await end(engine, first)
    assert await witness.closed() == ENDED
    assert await answers(socket)
    await end(engine, second)
    assert await socket.closed() == ENDED


async def test_a_renewed_token_of_the_same_session_ends_with_it_too(engine: Engine) -> None:
    session = await sign_in(engine, await engine.house.person())
    socket, _ = await engine.join(token=session.access_token)
    renewed = await engine.house.sessions.refresh(session.refresh_token)
    socket.send({"type": "auth", "token": renewed.access_token})
    await socket.receive("welcome")
    await end(engine, renewed)
    assert await socket.closed() == ENDED


async def test_a_reused_refresh_token_closes_the_sockets_of_thief_and_owner(engine: Engine) -> None:
    session = await sign_in(engine, await engine.house.person())
    renewed = await engine.house.sessions.refresh(session.refresh_token)
    sockets = [(await engine.join(token=each.access_token))[0] for each in (session, renewed)]
    engine.advance(seconds=10)
    with pytest.raises(Unauthenticated, match="refresh_reused"):
        await engine.house.sessions.refresh(session.refresh_token)
    await announce(engine)
    for socket in sockets:
        assert await socket.closed() == ENDED


async def test_nodes_stay_when_their_owner_signs_out_and_go_when_an_operator_says_so(engine: Engine) -> None:
    ada = await engine.house.person()
    session = await sign_in(engine, ada)
    page, _ = await engine.join(token=session.access_token)
    node, _, token = await engine.node(ada)
    attic, _ = await engine.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    others, *_ = await engine.join_node(await engine.house.person("bob@example.com"))
    await engine.house.sessions.end_all(ada.user_id)
    await announce(engine)
    assert await page.closed() == ENDED
    assert await answers(attic)
    await engine.house.sessions.end_all(ada.user_id, nodes=True, actor_id=new_id())
    await announce(engine)
    assert await attic.closed() == ENDED
    assert await answers(others)
    again = await Socket.open(engine.port, token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    assert await again.closed() == REFUSED
    engine.advance(seconds=1)
    fresh, _ = engine.house.tokens.for_node(node.node_id, ada.user_id, node.public_key)
    await engine.join(token=fresh, subprotocols=MSGPACK_SUBPROTOCOL)


async def test_a_node_that_ends_goes_alone(engine: Engine) -> None:
    ada = await engine.house.person()
    page, _ = await engine.join(token=(await sign_in(engine, ada)).access_token)
    node, _, token = await engine.node(ada)
    attic, _ = await engine.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    cellar, *_ = await engine.join_node(ada)
    await engine.house.nodes.retire(ada.user_id, node.node_id)
    await announce(engine)
    assert await attic.closed() == ENDED
    assert await answers(page)
    assert await answers(cellar)
    again = await Socket.open(engine.port, token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    assert await again.closed() == REFUSED


async def test_a_worker_that_was_not_told_of_a_node_that_ended_finds_out(engine: Engine) -> None:
    ada = await engine.house.person()
    node, _, token = await engine.node(ada)
    attic, _ = await engine.join(token=token, subprotocols=MSGPACK_SUBPROTOCOL)
    await engine.house.stores.nodes.end_tokens([node.node_id], engine.house.clock.now())
    later = await engine.start()
    refused = await Socket.open(later.port, token=token)
    assert await refused.closed() == REFUSED
    assert await answers(attic), "until its worker looks"


async def test_a_worker_that_starts_later_knows_what_ended_before(engine: Engine) -> None:
    ada = await engine.house.person()
    told, untold = await sign_in(engine, ada), await sign_in(engine, ada)
    _, _, token = await engine.node(ada)
    await end(engine, told)
    # The database knows; nobody was told.
    await engine.house.sessions.logout(engine.house.tokens.verify(untold.access_token))
    await engine.events.publish_revoked(
        Revoked(user_id=ada.user_id, at_ms=engine.house.clock.now_ms(), nodes=True)
    )
    later = await engine.start()
    for each in (told.access_token, untold.access_token, token):
        socket = await Socket.open(later.port, token=each)
        assert await socket.closed() == REFUSED


async def test_what_ended_while_the_bus_was_away_is_caught_up_with(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await engine.house.person()
    here, there = await sign_in(engine, ada), await sign_in(engine, ada)
    ending, _ = await engine.join(token=here.access_token)
    staying, _ = await engine.join(token=there.access_token)
    back, read, tried = asyncio.Event(), engine.streams.read, asyncio.Event()

    async def away(positions: Mapping[str, str], count: int, block_ms: int) -> list[tuple[str, str, bytes]]:
        if back.is_set():
            found: list[tuple[str, str, bytes]] = await read(positions, count, block_ms)
            return found
        tried.set()
        raise StorageUnavailable("away")

    monkeypatch.setattr(engine.streams, "read", away)
    # Ends the read that is under way.
    await engine.events.publish("network", 1, None)
    await asyncio.wait_for(tried.wait(), 5)
    # Nothing is announced: the process that ended it did not survive.
    await engine.house.sessions.logout(engine.house.tokens.verify(here.access_token))
    back.set()
    assert await ending.closed() == ENDED
    assert await answers(staying)


async def test_an_end_that_is_told_again_and_again_closes_once(engine: Engine) -> None:
    ada = await engine.house.person()
    session = await sign_in(engine, ada)
    principal = engine.house.tokens.verify(session.access_token)
    socket, _ = await engine.join(token=session.access_token)
    ended = Revoked(user_id=ada.user_id, at_ms=1, sessions=[mark(principal.session_id)])
    for _ in range(5):
        await engine.events.publish_revoked(ended)
    assert await socket.closed() == ENDED
    assert engine.metric("revocations") == 1

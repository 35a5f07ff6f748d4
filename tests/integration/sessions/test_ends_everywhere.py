"""A session that ends is at its end in every process."""

import asyncio
from typing import Any

from support.waiting import eventually
from support.websocket import Socket

from core.errors import CloseCode

Cluster = Any
ENDED = (CloseCode.REVOKED, "session ended")


async def closed(socket: Socket, seconds: float = 1.0) -> tuple[int, str]:
    """How the server closes a connection within that time."""
    async with asyncio.timeout(seconds):
        return await socket.closed()


async def answers(socket: Socket) -> bool:
    socket.send({"type": "ping"})
    await socket.receive("pong")
    return True


async def test_an_end_at_one_api_process_closes_sockets_on_every_worker_within_a_second(
    cluster: Cluster,
) -> None:
    stays, ends = await cluster.sign_in(), await cluster.sign_in()
    ending = [await ends.connect(worker) for worker in cluster.workers]
    staying = [await stays.connect(worker) for worker in cluster.workers]
    (item,) = [each for each in (await ends.call("GET", "/auth/sessions")).json()["items"] if each["current"]]
    answer = await stays.call("DELETE", f"/auth/sessions/{item['session_id']}")
    assert answer.status_code == 204
    for socket in ending:
        assert await closed(socket) == ENDED
    for socket in staying:
        assert await answers(socket)


async def test_the_other_api_process_refuses_the_tokens_too(cluster: Cluster) -> None:
    session = await cluster.sign_in(api=0)
    assert (await session.call("POST", "/auth/logout")).status_code == 204

    session.api = cluster.apis[1]

    async def refused() -> bool:
        answer = await session.call("GET", "/me")
        return answer.status_code == 401 and answer.json()["code"] == "token_revoked"

    await eventually(refused, timeout=1.0)


async def test_a_token_of_an_ended_session_opens_no_socket_anywhere(cluster: Cluster) -> None:
    session = await cluster.sign_in()
    known = [await session.connect(worker) for worker in cluster.workers]
    await session.call("POST", "/auth/logout")
    for socket in known:
        assert await closed(socket) == ENDED
    for worker in cluster.workers:
        socket = await Socket.open(worker.port, token=session.token)
        assert await closed(socket) == (CloseCode.REVOKED, "token_revoked")
        socket = await Socket.open(worker.port)
        socket.send({"type": "auth", "token": session.token})
        assert await closed(socket) == (CloseCode.REVOKED, "token_revoked")


async def test_signing_out_everywhere_closes_all_of_a_persons_sockets(cluster: Cluster) -> None:
    sessions = [await cluster.sign_in(api) for api in (0, 1)]
    sockets = [await session.connect(worker) for session in sessions for worker in cluster.workers]
    assert (await sessions[0].call("DELETE", "/auth/sessions")).status_code == 204
    for socket in sockets:
        assert await closed(socket) == ENDED


async def test_a_new_password_closes_the_other_sessions_sockets(cluster: Cluster) -> None:
    here, there = await cluster.sign_in(), await cluster.sign_in(api=1)
    mine, theirs = await here.connect(cluster.workers[0]), await there.connect(cluster.workers[0])
    former, new = "correct horse battery", "another horse battery"
    for current, replacement in ((former, new), (new, former)):
        answer = await here.call("PUT", "/me/password", {"current": current, "new": replacement})
        assert answer.status_code == 204, answer.text
    assert await closed(theirs) == ENDED
    assert await answers(mine)


async def test_what_ends_while_redis_is_away_has_ended_and_workers_hear_of_it_when_it_is_back(
    cluster: Cluster,
) -> None:
    stays, ends = await cluster.sign_in(), await cluster.sign_in()
    staying, ending = [await each.connect(cluster.workers[0]) for each in (stays, ends)]
    await cluster.redis.stop()
    answer = await ends.call("POST", "/auth/logout")
    assert answer.status_code == 204
    # In the process that ended it, and in the database, it is over at once.
    assert (await ends.call("GET", "/me")).json()["code"] == "token_revoked"
    body = {"refresh_token": ends.refresh_token}
    refreshed = await cluster.apis[1].post("/api/v1/auth/refresh", json=body)
    assert refreshed.json()["code"] == "refresh_invalid"
    await cluster.redis.start()
    assert await closed(ending, 15.0) == ENDED
    assert await answers(staying)

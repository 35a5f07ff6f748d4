"""WebSockets for greenlets: picows on uvloop in one native thread, which gevent knows nothing of.

The thread measures by itself, so that the figures are of the server and not of the greenlets' turns.
Runs in the benches' environment, together with locust.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import gevent
import msgspec
import uvloop
from gevent.event import AsyncResult
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from core.messages import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL

Message = dict[str, Any]
# Makes the answer to a challenge from (its nonce, the session).
Sign = Callable[[bytes, str], Message]

CONNECT_TIMEOUT = 15.0
ANSWER_TIMEOUT = 15.0


class SocketLost(Exception):
    """The connection ended; the text says how."""


class Thread:
    """The native thread with its event loop; one for all greenlets of a process."""

    def __init__(self) -> None:
        hub = gevent.get_hub()
        self._done: deque[tuple[AsyncResult, Any, BaseException | None]] = deque()
        self._wake = hub.loop.async_()
        self._wake.start(self._hand_over)
        self.loop = uvloop.new_event_loop()
        self._ended = hub.threadpool.spawn(self._run)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` over there and wait for it here; it has its own time-outs."""
        result: AsyncResult = AsyncResult()
        self.loop.call_soon_threadsafe(self._start, work, result)
        return result.get(timeout=CONNECT_TIMEOUT + ANSWER_TIMEOUT)

    def stop(self) -> None:
        """End the thread; the process must not leave while it runs."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._ended.get()
        self._wake.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def _start(self, work: Coroutine[Any, Any, Any], result: AsyncResult) -> None:
        task = self.loop.create_task(work)

        def finished(task: asyncio.Task[Any]) -> None:
            error = task.exception()
            self._done.append((result, None if error else task.result(), error))
            self._wake.send()

        task.add_done_callback(finished)

    def _hand_over(self) -> None:
        while self._done:
            result, value, error = self._done.popleft()
            if error is None:
                result.set(value)
            else:
                result.set_exception(error)


class Socket(WSListener):
    """One WebSocket; its coroutines belong to the native thread."""

    def __init__(self, binary: bool, sign: Sign | None) -> None:
        self._binary = binary
        self._sign = sign
        self._transport: WSTransport | None = None
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._session = ""
        #: Pushed by the server: snapshots and events so far.
        self.events = 0
        #: Challenges that were answered.
        self.challenges = 0
        #: Why it is gone, or "".
        self.lost = ""
        #: The server asked to leave and come back.
        self.told_to_leave = False
        #: The token ends soon.
        self.expiring = False

    @classmethod
    async def open(
        cls, url: str, token: str, *, binary: bool, sign: Sign | None = None
    ) -> tuple["Socket", float]:
        """Connect and be welcomed; returns the socket and the milliseconds that took."""
        socket = cls(binary, sign)
        welcomed = socket._expect("welcome")
        headers = {
            "Authorization": f"Bearer {token}",
            "Sec-WebSocket-Protocol": MSGPACK_SUBPROTOCOL if binary else JSON_SUBPROTOCOL,
        }
        began = time.perf_counter()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await ws_connect(lambda *_: socket, url, extra_headers=headers, use_aiofastnet=False)
            socket._session = (await welcomed)["session"]
        return socket, (time.perf_counter() - began) * 1e3

    async def ask(self, message: Message, answer: str) -> tuple[Message, float]:
        """Send `message` and await the `answer`; returns it and the milliseconds that took."""
        expected = self._expect(answer)
        began = time.perf_counter()
        self._send(message)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await expected, (time.perf_counter() - began) * 1e3

    async def say(self, message: Message) -> None:
        """Send `message`, which has no answer."""
        self._send(message)

    async def close(self) -> None:
        """Leave."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()
            await self._transport.wait_disconnected()

    def _expect(self, answer: str) -> asyncio.Future[Message]:
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = future
        return future

    def _send(self, message: Message) -> None:
        if self.lost or self._transport is None:
            raise SocketLost(self.lost or "not connected")
        if self._binary:
            self._transport.send(WSMsgType.BINARY, msgspec.msgpack.encode(message))
        else:
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode(message))

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.lost = f"closed with {frame.get_close_code()}"
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            decode = msgspec.msgpack.decode if self._binary else msgspec.json.decode
            self._take(decode(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.lost = self.lost or "connection ended"
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(SocketLost(self.lost))
        self._waiting.clear()

    def _take(self, message: Message) -> None:
        kind = message["type"]
        match kind:
            case "welcome":
                self._session = message["session"]
            case "event" | "snapshot":
                self.events += 1
            case "challenge" if self._sign is not None:
                self.challenges += 1
                self._send(self._sign(message["nonce"], self._session))
            case "reconnect":
                self.told_to_leave = True
            case "token_expiring":
                self.expiring = True
        name = f"{kind} {message['channel']}" if kind == "subscribed" else kind
        if kind == "result" or (kind == "error" and "id" in message):
            name = f"result {message['id']}"
        future = self._waiting.pop(name, None)
        if future is not None and not future.done():
            if kind == "error":
                future.set_exception(SocketLost(f"{message['code']}: {message['detail']}"))
            else:
                future.set_result(message)

"""Runs the application on uvicorn, inside the event loop that is running already."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from core.errors import StartupError
from core.http.edge import MAX_HEAD, HttpApp
from core.http.problems import protocol_error, render

BACKLOG = 2048
# Seconds in which a new connection has to begin its first request.
FIRST_BYTE_TIMEOUT = 10.0
# Seconds in which a request's line and headers have to come whole, once they have begun.
HEAD_TIMEOUT = 10.0
# Seconds for a client to read why it was refused before it stopped sending.
LINGER = 2.0
# Seconds between two refreshes of the Date header.
TICK = 1.0

Announce = Callable[[str, int], None]


class Cycle(RequestResponseCycle):
    """Sends head and body of an answer together; uvicorn examines each header by itself and writes
    twice, which takes longer than the application does. Answers that do not name their length, or come
    in parts, are left to uvicorn.
    """

    head: bytes | None = None
    start: Any = None

    async def send(self, message: Any) -> None:
        """ASGI send."""
        if message["type"] == "http.response.start" and not self.response_started and self.head is None:
            self.head = self._head(message)
            if self.head is not None:
                self.start = message
                return
        elif self.head is not None:
            head, self.head = self.head, None
            body = message.get("body", b"")
            if (
                message["type"] == "http.response.body"
                and not message.get("more_body", False)
                and self._fits(body)
                and not self.disconnected
                and not self.flow.write_paused
            ):
                self._finish(head + body)
                return
            await super().send(self.start)
        await super().send(message)

    def _head(self, message: Any) -> bytes | None:
        headers = self.default_headers + list(message["headers"])
        head = b"".join([b"%b: %b\r\n" % header for header in headers])
        names = dict(headers)
        if b"connection" in names or b"content-length" not in names:
            return None
        # Nothing in a header that would make one more of it, or end the head.
        if not head.count(b"\r") == head.count(b"\n") == len(headers) or b"\0" in head:
            return None
        self.expected_content_length = int(names[b"content-length"])
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        return STATUS_LINE[message["status"]] + head + end

    def _fits(self, body: bytes) -> bool:
        return self.scope["method"] != "HEAD" and len(body) == self.expected_content_length

    def _finish(self, answer: bytes) -> None:
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.expected_content_length = 0
        self.transport.write(answer)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a limit on what comes before the body, which uvicorn's own protocol has not.

    What cannot be read as a request is answered with a problem too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._linger: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            FIRST_BYTE_TIMEOUT, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._linger, self._head_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._linger is not None:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head or not self._head_bytes:
            return
        if self._head_bytes > MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._head_timer is None:
            # Part of a head only: the rest must not trickle in for ever.
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()
        # Its work begins in the loop's next round.
        self.cycle.__class__ = Cycle

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        if self._linger is not None or self.transport.is_closing():
            return
        problem = render(protocol_error(status))
        head = "".join(f"{name}: {value}\r\n" for name, value in problem.headers.items())
        self.transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
            + f"{head}content-length: {len(problem.body)}\r\nconnection: close\r\n\r\n".encode()
            + problem.body
        )
        # Closing with unread data would reset the connection and take the answer with it.
        self._linger = self.loop.call_later(LINGER, self.transport.abort)
        self.transport.write_eof()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, stop: asyncio.Event, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._announce = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's business, not the server's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def main_loop(self) -> None:
        # uvicorn's own looks ten times a second whether to stop.
        while not self._stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`; port 0 picks a free one.

    Raises:
        StartupError: naming the address and the reason.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartupError(f"http: cannot listen on {host} port {port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartupError(f"http: cannot listen on {host} port {port}: {reason}") from error
    return listener


async def serve(
    app: HttpApp,
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    announce: Announce | None = None,
    grace: float = 10.0,
) -> None:
    """Serve `app` until `stop` is set, then finish what was begun within `grace` seconds.

    `announce` is called with the address and the real port as soon as requests are answered. No
    signal handler is installed.

    Raises:
        StartupError: the address cannot be listened on.
    """
    listener = bind(host, port)
    bound = listener.getsockname()

    def started() -> None:
        if announce is not None:
            announce(bound[0], bound[1])

    config = uvicorn.Config(
        app,
        loop="none",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        # What uvicorn says below is about clients that break off or send garbage.
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(grace)),
    )
    try:
        await _Server(config, stop, started).serve([listener])
    finally:
        listener.close()

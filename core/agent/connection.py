"""One WebSocket of a node: picows below, the sans-I/O `Session` above."""

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from msgspec import Struct
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from picows.common import WSError, WSHandshakeError

from core.agent.protocol import Dead, Event, Leave, Output, Session, Traffic, decode
from core.errors import CloseCode, PulseboardError
from core.messages import MSGPACK_SUBPROTOCOL, msgpack_encode

CONNECT_TIMEOUT = 10.0
# Seconds the server has to answer our close frame.
CLOSE_TIMEOUT = 2.0
MAX_MESSAGE = 1024 * 1024
ABNORMAL = 1006


class HandshakeRefused(PulseboardError):
    """The server did not open the WebSocket; `status` is its HTTP status, or None."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Ending(Struct, frozen=True):
    """How a connection ended: the peer's close code (1006: none), and `Leave` or `Dead` if we went."""

    code: int
    event: Leave | Dead | None


class Connection(WSListener):
    """Moves frames between a socket and a `Session`, and keeps the session's time.

    `on_event` is called for every event that is not the end. Belongs to one event loop.
    """

    def __init__(self, session: Session, traffic: Traffic, on_event: Callable[[Event], None]) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._traffic = traffic
        self._on_event = on_event
        self._transport: WSTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._parts = bytearray()
        self._code = ABNORMAL
        self._event: Leave | Dead | None = None
        #: Done when the socket is gone.
        self.ended: asyncio.Future[Ending] = self._loop.create_future()

    async def open(self, url: str, token: str, context: ssl.SSLContext | None) -> None:
        """Connect to `url` and present `token`.

        Raises:
            HandshakeRefused: no WebSocket came of it.
        """
        headers = {"Authorization": f"Bearer {token}", "Sec-WebSocket-Protocol": MSGPACK_SUBPROTOCOL}
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, listener = await ws_connect(
                    lambda _request, _response: self,
                    url,
                    ssl_context=context,
                    extra_headers=headers,
                    # Pings are answered here, where they also count as a sign of life.
                    enable_auto_pong=False,
                    max_frame_size=MAX_MESSAGE,
                    max_redirects=0,
                    read_buffer_init_size=4096,
                    use_aiofastnet=False,
                )
        except WSHandshakeError as error:
            status = error.response.status if error.response is not None else None
            reason = f"answered {status.value} {status.phrase}" if status else str(error)
            raise HandshakeRefused(f"{url}: {reason}", status) from error
        except (OSError, TimeoutError, WSError) as error:
            raise HandshakeRefused(f"{url}: {str(error) or type(error).__name__}") from error
        if listener is None:
            # picows reports a socket that ends within the handshake as a success without a listener.
            raise HandshakeRefused(f"{url}: the connection ended within the handshake")
        if transport.response.headers.get("Sec-WebSocket-Protocol") != MSGPACK_SUBPROTOCOL:
            transport.disconnect(False)
            raise HandshakeRefused(f"{url}: does not speak {MSGPACK_SUBPROTOCOL}", HTTPStatus.FORBIDDEN)

    def renew(self, token: str) -> None:
        """Hand over the token that `TokenWanted` asked for."""
        self._act(self._session.renewed(token))

    def close(self) -> None:
        """Say goodbye (1000) and end; the server has a moment to answer."""
        transport = self._transport
        if transport is None or transport.is_disconnected or transport.is_close_frame_sent:
            return
        self._close(transport, CloseCode.NORMAL)

    def abort(self) -> None:
        """End at once, without a word."""
        if self._transport is not None:
            self._transport.disconnect(False)

    # --- picows' callbacks --------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._set_timer()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        self._traffic.down += _frame_size(len(payload), masked=False)
        self._session.heard(self._loop.time())
        if self._code != ABNORMAL:
            return
        match frame.msg_type:
            case WSMsgType.PING:
                self._traffic.up += _frame_size(len(payload), masked=True)
                transport.send_pong(payload)
            case WSMsgType.BINARY | WSMsgType.CONTINUATION:
                self._assemble(transport, payload, frame.fin)
            case WSMsgType.TEXT:
                self._close(transport, CloseCode.UNSUPPORTED_DATA)
            case WSMsgType.CLOSE:
                self._closed_by_peer(transport, payload)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(Ending(self._code, self._event))

    # --- inside -------------------------------------------------------------------------------------

    def _assemble(self, transport: WSTransport, payload: bytes, fin: bool) -> None:
        if len(self._parts) + len(payload) > MAX_MESSAGE:
            self._close(transport, CloseCode.MESSAGE_TOO_BIG)
            return
        self._parts += payload
        if not fin:
            return
        data = bytes(self._parts)
        self._parts.clear()
        try:
            message = decode(data)
        except msgspec.DecodeError:
            self._close(transport, CloseCode.PROTOCOL_ERROR)
            return
        if message is not None:
            self._act(self._session.receive(message, self._loop.time()))

    def _act(self, output: Output) -> None:
        transport = self._transport
        if transport is None or transport.is_disconnected or transport.is_close_frame_sent:
            return
        for item in output:
            match item:
                case Leave():
                    self._event = item
                    self._close(transport, CloseCode.NORMAL)
                    return
                case Dead():
                    self._event = item
                    transport.disconnect(False)
                    return
                case _ if isinstance(item, Event):
                    self._on_event(item)
                case _:
                    data = msgpack_encode(item)
                    self._traffic.up += _frame_size(len(data), masked=True)
                    transport.send(WSMsgType.BINARY, data)
        self._set_timer()

    def _tick(self) -> None:
        self._timer = None
        self._act(self._session.tick(self._loop.time()))

    def _set_timer(self) -> None:
        # Frames move the deadline away all the time: the timer stays and looks again when it fires.
        due = self._session.deadline
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    def _closed_by_peer(self, transport: WSTransport, payload: bytes) -> None:
        self._code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        if not transport.is_close_frame_sent:
            echo = self._code if self._code != 1005 else CloseCode.NORMAL
            self._traffic.up += _frame_size(2, masked=True)
            transport.send_close(WSCloseCode(echo))
        transport.disconnect()

    def _close(self, transport: WSTransport, code: CloseCode) -> None:
        self._traffic.up += _frame_size(2, masked=True)
        transport.send_close(WSCloseCode(code))
        self._loop.call_later(CLOSE_TIMEOUT, transport.disconnect, False)


def _frame_size(payload: int, *, masked: bool) -> int:
    """Bytes of a WebSocket frame (RFC 6455 §5.2) with that much payload."""
    length = 0 if payload < 126 else 2 if payload < 65536 else 8
    return 2 + length + (4 if masked else 0) + payload

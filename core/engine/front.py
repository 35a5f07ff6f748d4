"""A worker's listening socket and the life of its hub: accepting, polling, ticking."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.config import Config, Ws
from core.engine.handshake import Doorman, Refused
from core.errors import StartupError
from core.logs import get_logger
from core.metrics import Metrics
from ext.hub import Hub

if TYPE_CHECKING:
    from ext.hub import Handler  # it exists for type checkers only

TICK = 0.1
# Slots beyond `ws.max_connections`, for those who are told that the worker is full.
SPARE_SLOTS = 1024

log = get_logger("engine.front")


def make_hub(handler: "Handler", ws: Ws) -> Hub:
    """A hub with the limits and deadlines of `ws`, for the running loop."""
    return Hub(
        handler,
        capacity=ws.max_connections + SPARE_SLOTS,
        max_message=ws.max_message,
        max_queue=ws.max_queue,
        ping_interval=_ms(ws.ping_interval),
        pong_timeout=_ms(ws.pong_timeout),
        upgrade_timeout=_ms(ws.handshake_timeout),
        auth_timeout=_ms(ws.auth_timeout),
        close_timeout=_ms(ws.close_timeout),
        expiry_notice=_ms(ws.expiry_notice),
        deflate_above=ws.compress_above,
        message_rate=ws.message_rate,
        message_burst=ws.message_burst,
        call_soon=asyncio.get_running_loop().call_soon,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class Front:
    """Lets connections in on a port that several processes may share (SO_REUSEPORT), and drives `hub`.

    `opened(handle, token, forwarded)` is told of each, with the token and the X-Forwarded-For that came
    with its request; `ready` says
    whether a load balancer should send more. With `echo` the hub sends everything back, at /echo,
    without authentication.
    """

    def __init__(
        self,
        config: Config,
        hub: Hub,
        opened: Callable[[int, str | None, Sequence[str]], None],
        ready: Callable[[], bool],
        *,
        echo: bool = False,
    ) -> None:
        self._ws = config.ws
        self._hub = hub
        self._opened = opened
        self._echo = echo
        self._doorman = Doorman(config, self._refusal, ready, echo=echo)
        self._timer: asyncio.TimerHandle | None = None
        self._lag = 0.0
        self._closed = False
        self._listening = self._bind()
        self.port: int = self._listening.getsockname()[1]

    @property
    def accepting(self) -> bool:
        """Whether new connections are let in."""
        return self._timer is not None and not self._closed

    def start(self) -> None:
        """Listen, and look after the hub."""
        loop = asyncio.get_running_loop()
        self._listening.listen(self._ws.backlog)
        self._hub.listen(self._listening.fileno(), self)
        loop.add_reader(self._hub.fileno(), self._hub.poll)
        self._tick(loop.time())
        log.info("listening", host=self._ws.host, port=self.port)

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True
        self._hub.stop_listening()
        self._listening.close()

    def on_request(self, handle: int, head: bytes) -> None:
        """Let a connection in, or tell why not."""
        verdict = self._doorman.judge(head)
        if isinstance(verdict, bytes):
            self._hub.answer(handle, verdict)
        elif self._hub.upgrade(handle, verdict.answer, verdict.binary, verdict.window, self._echo):
            self._opened(handle, verdict.token, verdict.forwarded)

    def on_long_request(self, handle: int) -> None:
        """Tell that the request is too long."""
        refused = Refused(431, "header_too_long", "The request header is too long.")
        self._hub.answer(handle, self._doorman.refuse(refused))

    def stop(self) -> None:
        """Drop every connection and leave the loop."""
        self.close()
        self._hub.abort_all()
        if self._timer is not None:
            self._timer.cancel()
            asyncio.get_running_loop().remove_reader(self._hub.fileno())

    def metrics(self) -> Metrics:
        """What happened at the sockets so far and how they stand."""
        metrics: Metrics = {
            "connections_open": len(self._hub),
            "queued_bytes": self._hub.queued_bytes,
            "loop_lag_seconds": round(self._lag, 4),
        }
        metrics |= {f"{name}_total": count for name, count in self._hub.counters().items()}
        metrics |= {f"handshake_{code}_total": count for code, count in self._doorman.refused.items()}
        return metrics

    def _bind(self) -> socket.socket:
        host, port = self._ws.host, self._ws.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise StartupError(f"cannot listen on {host}: {error.strerror}") from error
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Accepted sockets inherit it.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.setblocking(False)
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            raise StartupError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        return listening

    def _refusal(self) -> Refused | None:
        if self._closed:
            return Refused(503, "draining", "This worker is going away.", Retry_After="1")
        # Whoever asks has a slot already.
        if len(self._hub) > self._ws.max_connections:
            return Refused(503, "full", "This worker is full.", Retry_After="5")
        return None

    def _tick(self, due: float) -> None:
        """Let the hub look at its deadlines, ten times a second."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._lag = max(0.0, now - due)
        self._timer = loop.call_later(TICK, self._tick, now + TICK)
        self._hub.tick()

"""A worker: one process's listening socket, its connections and its ties to the other processes."""

import asyncio
import contextlib
import random
import socket
import time

from core.clock import Clock
from core.config import Config
from core.engine.bus import Bus
from core.engine.gateway import Gateway
from core.engine.handshake import Accepted, Doorman, Handshake, Refused
from core.engine.recorder import Recorder
from core.errors import CloseCode, StartupError, StorageUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from ext.listener import Listener
from services.earnings import Earnings
from services.networks import Networks
from services.tokens import Tokens
from storage.base import Presence, StreamLog

TICK = 0.1
# Clients told to leave in one go while draining, and the pause before the next.
GOODBYES = 500
GOODBYE_PAUSE = 0.05

log = get_logger("engine.worker")


class Worker:
    """Accepts WebSockets on a port that it may share with other workers (SO_REUSEPORT)."""

    def __init__(
        self,
        config: Config,
        *,
        tokens: Tokens,
        earnings: Earnings,
        networks: Networks,
        streams: StreamLog,
        presence: Presence,
        clock: Clock,
        worker_id: str,
    ) -> None:
        self._config = config
        self.worker_id = worker_id
        settings = config.network
        self._recorder = Recorder(streams, worker_id, settings.flush_interval, settings.flush_backlog)
        self._gateway = Gateway(
            config,
            worker_id=worker_id,
            clock=clock,
            tokens=tokens,
            earnings=earnings,
            networks=networks,
            presence=presence,
            record=self._recorder.add,
        )
        self._hub = self._gateway.hub
        self._bus = Bus(streams, worker_id, self._gateway.on_events)
        self._doorman = Doorman(config, self._make_listener, self._refusal, self.ready)
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False
        self._lag = 0.0
        self._failed: dict[str, int] = {}
        self._started = time.monotonic()
        self.port = 0

    async def start(self) -> None:
        """Join the bus, then listen.

        Raises:
            StartupError: if the port is taken.
            StorageUnavailable: if Redis does not answer.
        """
        listening = self._listen()
        try:
            await self._bus.open()
            loop = asyncio.get_running_loop()
            self._tasks = [
                loop.create_task(part.run(), name=name)
                for name, part in (
                    ("bus", self._bus),
                    ("recorder", self._recorder),
                    ("residents", self._gateway.residents),
                )
            ]
            loop.add_reader(self._hub.fileno(), self._hub.poll)
            self._tick(loop.time())
            timeout = self._config.ws.handshake_timeout
            self._server = await loop.create_server(
                lambda: Handshake(self._doorman, timeout), sock=listening, backlog=self._config.ws.backlog
            )
        except BaseException:
            listening.close()
            raise
        log.info("listening", host=self._config.ws.host, port=self.port)

    def ready(self) -> bool:
        """Whether new connections are welcome."""
        return self._server is not None and not self._draining and self._bus.connected

    def reasons(self) -> list[str]:
        """Why it is not ready; empty if it is."""
        reasons = [] if self._server is not None else ["not listening"]
        if self._draining:
            reasons.append("draining")
        if not self._bus.connected:
            reasons.append("bus is away")
        return reasons

    async def drain(self) -> None:
        """Take no new connections, ask the present ones to leave, and wait up to the drain time-out."""
        if self._draining:
            return
        self._draining = True
        if self._server is not None:
            self._server.close()
        deadline = time.monotonic() + self._config.ws.drain_timeout
        spread = round(self._config.ws.drain_timeout * 500)
        handles = self._hub.table.handles()
        log.info("draining", connections=len(handles))
        for start in range(0, len(handles), GOODBYES):
            for handle in handles[start : start + GOODBYES]:
                self._gateway.say_goodbye(handle, random.randint(0, spread))  # noqa: S311 - spreads load
            await asyncio.sleep(GOODBYE_PAUSE)
        await self._emptied(deadline - time.monotonic())
        for handle in self._hub.table.handles():
            self._hub.close(handle, CloseCode.DRAIN, "the server restarts")
        await self._emptied(self._config.ws.close_timeout)

    async def _emptied(self, patience: float) -> None:
        """Wait until the last connection is gone, `patience` seconds at most."""
        self._gateway.emptied.clear()
        if len(self._hub):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, patience)):
                    await self._gateway.emptied.wait()

    async def stop(self) -> None:
        """Drop what is left, hand over the last observations and leave the bus."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        self._hub.abort_all()
        if self._timer is not None:
            self._timer.cancel()
        asyncio.get_running_loop().remove_reader(self._hub.fileno())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._recorder.flush()
            await self._bus.close()
        except StorageUnavailable as error:
            log.warning("left without a farewell", lost_records=len(self._recorder), error=str(error))

    def metrics(self) -> Metrics:
        """What happened here so far and how it stands."""
        gateway, recorder, bus = self._gateway, self._recorder, self._bus
        metrics: Metrics = {
            "connections_open": len(self._hub),
            "connections_nodes": len(gateway.nodes),
            "users_resident": len(gateway.residents),
            "queued_bytes": self._hub.queued_bytes,
            "loop_lag_seconds": round(self._lag, 4),
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            "bus_connected": int(bus.connected),
            "bus_received_total": bus.received,
            "bus_failures_total": bus.failures,
            "bus_unreadable_total": bus.unreadable,
            "records_waiting": len(recorder),
            "records_appended_total": recorder.appended,
            "records_dropped_total": recorder.dropped,
            "records_failures_total": recorder.failures,
            "challenges_answered_total": gateway.nodes.answered,
            "challenges_missed_total": gateway.nodes.missed,
            "challenges_refused_total": gateway.nodes.refused,
            "messages_refused_total": gateway.refused_messages,
            "draining": int(self._draining),
        }
        metrics |= {f"{name}_total": count for name, count in self._hub.counters().items()}
        metrics |= {f"closed_{code}_total": count for code, count in gateway.closed_by_code.items()}
        metrics |= {f"handshake_{code}_total": count for code, count in self._doorman.refused.items()}
        metrics |= {f"handshake_{why}_total": count for why, count in self._failed.items()}
        return metrics

    def _listen(self) -> socket.socket:
        host, port = self._config.ws.host, self._config.ws.port
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise StartupError(f"cannot listen on {host}: {error.strerror}") from error
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.setblocking(False)
            listening.bind((host, port))
        except OSError as error:
            listening.close()
            raise StartupError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        self.port = listening.getsockname()[1]
        return listening

    def _make_listener(self, request: Accepted) -> Listener:
        return Listener(
            self._hub, request.binary, request.window, request.echo, request.token, self._opened, self._lost
        )

    def _opened(self, handle: int, listener: Listener) -> None:
        if not listener.echo:
            self._gateway.on_open(handle, listener.token, listener.address)

    def _lost(self, reason: str) -> None:
        self._failed[reason] = self._failed.get(reason, 0) + 1

    def _refusal(self) -> Refused | None:
        if self._draining:
            return Refused(503, "draining", "This worker is going away.", Retry_After="1")
        if len(self._hub) >= self._config.ws.max_connections:
            return Refused(503, "full", "This worker is full.", Retry_After="5")
        return None

    def _tick(self, due: float) -> None:
        """Let the hub look at its deadlines, ten times a second."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._lag = max(0.0, now - due)
        self._timer = loop.call_later(TICK, self._tick, now + TICK)
        self._hub.tick()

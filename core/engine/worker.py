"""A worker: one process's connections and their ties to the other processes."""

import asyncio
import contextlib
import random
import time

from core.bus import Bus
from core.clock import Clock
from core.config import Config
from core.endings import Endings
from core.engine.front import Front
from core.engine.gateway import Gateway
from core.engine.recorder import Recorder
from core.errors import CloseCode, StorageUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.tasks import end
from services.earnings import Earnings
from services.events import GLOBAL_STREAM, SESSIONS_STREAM, Envelope, worker_stream
from services.networks import Networks
from services.revocations import Revocations
from services.tokens import Tokens
from storage.base import Presence, StreamLog

# Clients told to leave in one go while draining, and the pause before the next.
GOODBYES = 500
GOODBYE_PAUSE = 0.05

log = get_logger("engine.worker")


class Worker:
    """Talks with clients on a port that it may share with other workers.

    Raises (when made):
        StartupError: the port cannot be listened on.
    """

    def __init__(
        self,
        config: Config,
        *,
        tokens: Tokens,
        revocations: Revocations,
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
        self._recorder = Recorder(
            streams,
            worker_id,
            interval=settings.flush_interval,
            backlog=settings.flush_backlog,
            length=settings.ingest_backlog,
        )
        self._gateway = Gateway(
            config,
            worker_id=worker_id,
            clock=clock,
            tokens=tokens,
            revocations=revocations,
            earnings=earnings,
            networks=networks,
            presence=presence,
            record=self._recorder.add,
        )
        self._recorder.source = self._gateway.nodes
        self._hub = self._gateway.hub
        self._revocations = revocations
        self._endings = Endings(revocations, self._gateway.on_revoked)
        self._bus = Bus(
            streams,
            self._deliver,
            news=[GLOBAL_STREAM],
            whole=[SESSIONS_STREAM],
            own=worker_stream(worker_id),
            returned=self._endings.look,
        )
        self._front = Front(config, self._hub, self._gateway.on_open, self.ready)
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._front.port

    async def start(self) -> None:
        """Join the bus, learn which sessions ended, then listen.

        Raises:
            StorageUnavailable: if Redis or the database does not answer.
        """
        await self._bus.open()
        await self._endings.open()
        self._tasks = [
            asyncio.create_task(part.run(), name=name)
            for name, part in (
                ("bus", self._bus),
                ("endings", self._endings),
                ("recorder", self._recorder),
                ("residents", self._gateway.residents),
            )
        ]
        self._front.start()

    def _deliver(self, envelopes: list[Envelope]) -> None:
        self._endings.on_events(envelopes)
        self._gateway.on_events(envelopes)

    def ready(self) -> bool:
        """Whether new connections are welcome."""
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Why it is not ready; empty if it is."""
        reasons = []
        if self._draining:
            reasons.append("draining")
        elif not self._front.accepting:
            reasons.append("not listening")
        if not self._bus.connected:
            reasons.append("bus is away")
        return reasons

    async def drain(self) -> None:
        """Take no new connections, ask the present ones to leave, and wait up to the drain time-out."""
        if self._draining:
            return
        self._draining = True
        self._front.close()
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
        if len(self._gateway):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, patience)):
                    await self._gateway.emptied.wait()

    async def stop(self) -> None:
        """Drop what is left, hand over the last observations and leave the bus."""
        self._draining = True
        for handle in self._hub.table.handles():
            self._gateway.nodes.told_to_leave(handle)
        self._front.stop()
        self._gateway.nodes.close()
        await end(self._tasks)
        try:
            await self._recorder.flush()
            await self._bus.close()
        except StorageUnavailable as error:
            log.warning("left without a farewell", lost_records=len(self._recorder), error=str(error))

    def metrics(self) -> Metrics:
        """What happened here so far and how it stands."""
        gateway, recorder, bus = self._gateway, self._recorder, self._bus
        metrics: Metrics = {
            **self._front.metrics(),
            "users_resident": len(gateway.residents),
            "bus_connected": int(bus.connected),
            "bus_received_total": bus.received,
            "bus_failures_total": bus.failures,
            "bus_unreadable_total": bus.unreadable,
            **self._revocations.metrics(),
            **recorder.metrics(),
            **gateway.nodes.metrics(),
            "messages_refused_total": gateway.refused_messages,
            "draining": int(self._draining),
        }
        metrics |= {f"closed_{code}_total": count for code, count in gateway.closed_by_code.items()}
        return metrics

"""Closing epochs as soon as nothing measured in them can be missing."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic

from core.clock import Clock
from core.jobs.overviews import Overviews
from core.jobs.settling import Settling
from core.logs import get_logger
from core.metrics import Metrics
from storage.base.epochs import Epoch, EpochStore, OpenEpoch, Terms

# Seconds between two sums of what the open epoch has come to; at least so many times as long as one takes.
MEASURE_INTERVAL = 5.0
MEASURE_PAUSE = 19
# Seconds after which the terms are compared again: another process may have led meanwhile, by other ones.
TERMS_INTERVAL = 60.0
# Seconds after which it is said again what a close waits for.
LOG_INTERVAL = 60.0

Tell = Callable[[Epoch], Awaitable[None]]


class Epochs:
    """Begins epochs, closes them, and tells of it.

    An epoch is closed once everything before its end and `grace` more is in the store: time between two
    connections may count that becomes known when the second one is confirmed. The store does a close in one
    transaction, and only after it somebody is told. So whatever dies in between, whoever leads next finds
    the epoch open, or closed and tells of it again: `tell` hears of each epoch at least once.
    """

    name = "epochs"
    interval = 1.0

    def __init__(
        self,
        *,
        store: EpochStore,
        settling: Settling,
        overviews: Overviews,
        tell: Tell,
        clock: Clock,
        terms: Terms,
        seconds: int,
        grace: timedelta,
        patience: timedelta,
    ) -> None:
        """`seconds` is the length of an epoch; a worker whose watermark is older than `patience` is late."""
        self._store = store
        self._settling = settling
        self._overviews = overviews
        self._tell = tell
        self._clock = clock
        self._terms = terms
        self._seconds = seconds
        self._grace = grace
        self._patience = patience
        self._terms_at: float | None = None
        self._measure_at = 0.0
        # Who was named in the log already, and when everybody is again.
        self._named: set[str] = set()
        self._log_at = monotonic() + LOG_INTERVAL
        self._told: int | None = None
        self._closed = 0
        self._close_seconds = 0.0
        self._number = 0
        self._late_workers = 0
        self._overdue_ms = 0

    async def step(self) -> None:
        """Close what can be closed by now, and sum up what is open.

        Raises:
            StorageUnavailable: a server is away; call it again.
        """
        await self._prepare()
        settled = await self._settling.look()
        epoch = await self._open()
        await self._tell_newest(epoch)
        while settled is not None and epoch.ends_at + self._grace <= settled:
            if not await self._close(settled - self._grace):
                break
            epoch = await self._open()
            await self._tell_newest(epoch)
        self._watch(epoch)
        if monotonic() >= self._measure_at:
            began = monotonic()
            await self._store.measure(self._clock.now())
            ended = monotonic()
            self._measure_at = ended + max(MEASURE_INTERVAL, MEASURE_PAUSE * (ended - began))

    def metrics(self) -> Metrics:
        """The open epoch's number, and how long it could have been closed if everybody had told all.

        `epoch_workers_late` are living workers that have told nothing for long: they hold the close back.
        """
        return {
            "epoch_open": self._number,
            "epochs_closed_total": self._closed,
            "epoch_close_seconds": round(self._close_seconds, 3),
            "epoch_overdue_ms": self._overdue_ms,
            "epoch_workers_late": self._late_workers,
        }

    async def _prepare(self) -> None:
        now = self._clock.now()
        if self._terms_at is None or monotonic() >= self._terms_at + TERMS_INTERVAL:
            await self._store.set_terms(self._terms, now)
            await self._store.begin(now, self._seconds)
            self._terms_at = monotonic()

    async def _open(self) -> OpenEpoch:
        epoch = await self._store.open()
        if epoch is None:
            raise AssertionError("an epoch has begun")
        self._number = epoch.number
        return epoch

    async def _close(self, settled_to: datetime) -> bool:
        began = monotonic()
        with self._overviews.told():
            epoch = await self._store.close(self._clock.now(), settled_to)
        if epoch is None:
            return False
        # Everybody's figures have changed, and nobody's work in the next one is summed up yet.
        self._overviews.everybody()
        self._measure_at = 0.0
        self._close_seconds = monotonic() - began
        self._closed += 1
        _log.info(
            "epoch closed",
            epoch=epoch.number,
            nodes=epoch.nodes,
            users=epoch.users,
            seconds=round(self._close_seconds, 3),
        )
        return True

    async def _tell_newest(self, epoch: OpenEpoch) -> None:
        """Tell of the epoch before the open one, unless that was done."""
        newest = epoch.number - 1
        if newest == self._told:
            return
        closed = await self._store.epoch(newest) if newest else None
        if closed is not None:
            await self._tell(closed)
        self._told = newest

    def _watch(self, epoch: OpenEpoch) -> None:
        """Note by how much the close is late, and say who holds it back."""
        now = self._clock.now()
        due = epoch.ends_at + self._grace
        self._overdue_ms = max(round((now - due).total_seconds() * 1000), 0)
        late = self._settling.behind(now - self._patience)
        self._late_workers = len(late)
        if now < due + self._patience:
            self._named.clear()
            self._log_at = monotonic() + LOG_INTERVAL
            return
        if monotonic() >= self._log_at:
            self._named.clear()
            self._log_at = monotonic() + LOG_INTERVAL
            if not late:
                _log.warning(
                    "epoch not closed: observations wait, or who lives is not known", epoch=epoch.number
                )
        for worker, watermark in sorted(late.items()):
            if worker not in self._named:
                told_to = None if watermark is None else watermark.isoformat()
                _log.warning(
                    "epoch not closed: a worker is late", epoch=epoch.number, worker=worker, told_to=told_to
                )
        self._named.update(late)


_log = get_logger("jobs")

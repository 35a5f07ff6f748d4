"""Days made of hours, closed days made small, old ones dropped."""

from datetime import UTC, date, datetime, time, timedelta
from time import monotonic

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from storage.base import DayStore, Unrolled

# Days ahead that have somewhere to go.
AHEAD = timedelta(days=3)
# How long after its end a day is rolled up: most of what is late has come by then.
GRACE = timedelta(minutes=10)
# How long after its last roll-up a day that changed is rolled up again.
AGAIN_AFTER = timedelta(hours=1)
# How old a day is when it is packed: nodes that were away for the night have come back.
PACKED_AFTER = timedelta(days=1)

log = get_logger("jobs")


class DailyUpkeep:
    """Keeps the statistics of finished days: rolls up, prunes, packs, and makes room for days to come.

    Every step does all that is due, also of several days after a pause. What was interrupted is begun
    again in the next step.
    """

    name = "statistics"
    interval = 60.0

    def __init__(
        self, days: DayStore, clock: Clock, *, hour_days: int, day_days: int, session_days: int
    ) -> None:
        """For how many days hours, days and ended sessions are kept."""
        self._days = days
        self._clock = clock
        self._kept = timedelta(days=hour_days), timedelta(days=day_days), timedelta(days=session_days)
        self._opened: date | None = None
        self._pruned: date | None = None
        self._waiting = 0
        self._seconds = 0.0
        self._counts = dict.fromkeys(
            (
                "days_rolled_up",
                "days_packed",
                "hour_days_pruned",
                "day_months_pruned",
                "node_sessions_pruned",
            ),
            0,
        )

    async def step(self) -> None:
        """Do what is due now.

        Raises:
            StorageUnavailable: the rest waits for the next step.
        """
        now = self._clock.now()
        today = now.date()
        if self._opened != today:
            await self._days.open(today - timedelta(days=1), today + AHEAD)
            self._opened = today
        await self._roll_up(today, now)
        if self._pruned != today:
            await self._prune(today, now)
        await self._pack(today)

    def metrics(self) -> Metrics:
        """What was done; how many finished days are not rolled up as they are, and how long the last took."""
        return {
            **{f"{what}_total": count for what, count in self._counts.items()},
            "days_to_roll_up": self._waiting,
            "roll_up_seconds": round(self._seconds, 3),
        }

    async def _roll_up(self, today: date, now: datetime) -> None:
        unrolled = await self._days.unrolled(today)
        self._waiting = len(unrolled)
        for each in unrolled:
            if not _is_due(each, now):
                continue
            began = monotonic()
            await self._days.roll_up(each.day)
            self._seconds = monotonic() - began
            self._waiting -= 1
            self._counts["days_rolled_up"] += 1
            log.info("day rolled up", day=str(each.day), seconds=round(self._seconds, 3))

    async def _pack(self, today: date) -> None:
        for day in await self._days.unpacked(today - PACKED_AFTER):
            began = monotonic()
            if not await self._days.pack(day):
                log.warning("day not packed: its hours are in use", day=str(day))
                break
            self._counts["days_packed"] += 1
            log.info("day packed", day=str(day), seconds=round(monotonic() - began, 3))

    async def _prune(self, today: date, now: datetime) -> None:
        hours, days, sessions = self._kept
        pruned = await self._days.prune(today - hours, today - days, now - sessions)
        self._counts["hour_days_pruned"] += pruned.hour_days
        self._counts["day_months_pruned"] += pruned.day_months
        self._counts["node_sessions_pruned"] += pruned.sessions
        if pruned.complete:
            self._pruned = today
        else:
            log.warning("old hours or days not dropped: they are in use")


def _is_due(each: Unrolled, now: datetime) -> bool:
    if each.rolled_at is None:
        return now >= datetime.combine(each.day, time(), UTC) + timedelta(days=1) + GRACE
    return now >= each.rolled_at + AGAIN_AFTER

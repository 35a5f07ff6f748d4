"""What has run out, dropped."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from services.audit import Audit
from storage.base import ConfirmationStore, IdempotencyStore, SessionStore

# How long an answer to a request that may be repeated is kept.
ANSWERS_KEPT = timedelta(hours=24)

log = get_logger("jobs")


class Pruning:
    """Drops expired confirmations and sessions, old answers, and security events past their time."""

    name = "pruning"
    interval = 60.0

    def __init__(
        self,
        *,
        confirmations: ConfirmationStore,
        sessions: SessionStore,
        idempotency: IdempotencyStore,
        audit: Audit,
        clock: Clock,
        audit_days: int,
    ) -> None:
        """`audit_days` is how long security events are kept."""
        self._confirmations = confirmations
        self._sessions = sessions
        self._idempotency = idempotency
        self._audit = audit
        self._clock = clock
        self._audit_kept = timedelta(days=audit_days)
        self._pruned = dict.fromkeys(("confirmations", "sessions", "answers", "audit_events"), 0)

    async def step(self) -> None:
        """Drop what has run out by now.

        Raises:
            StorageUnavailable: some of it stays until the next step.
        """
        now = self._clock.now()
        await self._drop("confirmations", lambda: self._confirmations.prune(now))
        await self._drop("sessions", lambda: self._sessions.prune(now))
        await self._drop("answers", lambda: self._idempotency.prune(now - ANSWERS_KEPT))
        await self._drop("audit_events", lambda: self._audit.prune(self._audit_kept, now))

    def metrics(self) -> Metrics:
        """How much was dropped, by what it was."""
        return {f"pruned_{what}_total": count for what, count in self._pruned.items()}

    async def _drop(self, what: str, prune: Callable[[], Awaitable[int]]) -> None:
        count = await prune()
        if count:
            self._pruned[what] += count
            log.debug("pruned", what=what, count=count)

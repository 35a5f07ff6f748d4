"""What the staff sees of the closing of epochs and of the proofs of the ledger.

Every proof is an event of the audit log, with what it found; so is asking for one. Whoever does the duties
answers the newest question that no event answers yet: so there is one proof at a time.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.clock import Clock
from core.errors import Conflict
from services.audit import Audit, Kind
from services.proof import Verdict
from services.tokens import Principal
from storage.base import AuditEvent, EpochStore, OpenEpoch, Presence, UptimeStore
from storage.ledger import INVARIANTS as OF_THE_LEDGER
from storage.proofs import INVARIANTS as OF_EVERYTHING

#: Every invariant there is, in the order in which they are looked at.
INVARIANTS: Final = (*OF_THE_LEDGER, *OF_EVERYTHING)


class Offence(Struct, frozen=True, kw_only=True):
    """An invariant that does not hold; `detail` tells of the first row that offends."""

    invariant: str
    detail: str


class LedgerState(Struct, frozen=True, kw_only=True):
    """The newest proof: when it ended, how long it took, and what it found.

    `people` is of how many the figures were compared, `epochs` which were computed again. `asked_at`: when
    somebody asked for the one that is waited for, null if nobody does. `checked_at` null: there was none yet.
    """

    checked_at: datetime | None
    milliseconds: int
    offences: list[Offence]
    people: int
    epochs: list[int]
    asked_at: datetime | None


class Straggler(Struct, frozen=True, kw_only=True):
    """A living worker that has not told all that an epoch needs; `told_to` null: it has told nothing."""

    worker: str
    told_to: datetime | None


class Closing(Struct, frozen=True, kw_only=True):
    """The epoch that is closed next, and what that waits for.

    It is due at `due_at`: an answer may come late until then. `late_ms` is for how long it has been, and
    `waiting_for` who holds it back; nobody: what they told is not all in the database yet.
    """

    epoch: OpenEpoch
    due_at: datetime
    late_ms: int
    waiting_for: list[Straggler]


class Oversight:
    """Shows epochs and proofs, and takes it down when a proof is asked for or done."""

    def __init__(
        self,
        *,
        epochs: EpochStore,
        uptime: UptimeStore,
        presence: Presence,
        audit: Audit,
        clock: Clock,
        grace: timedelta,
    ) -> None:
        """`grace` is how long after its end an epoch may be closed."""
        self._epochs = epochs
        self._uptime = uptime
        self._presence = presence
        self._audit = audit
        self._clock = clock
        self._grace = grace

    # --- epochs ---------------------------------------------------------------------------------

    async def closing(self) -> Closing | None:
        """How the open epoch stands; None before the first."""
        epoch = await self._epochs.open()
        if epoch is None:
            return None
        now = self._clock.now()
        due_at = epoch.ends_at + self._grace
        late = max(timedelta(0), now - due_at)
        return Closing(
            epoch=epoch,
            due_at=due_at,
            late_ms=late // timedelta(milliseconds=1),
            waiting_for=await self._stragglers(due_at) if now >= due_at else [],
        )

    async def _stragglers(self, due_at: datetime) -> list[Straggler]:
        processes = await self._presence.processes()
        workers = [process.process_id for process in processes if process.kind == "worker"]
        told = await self._uptime.watermarks(workers)
        return [
            Straggler(worker=worker, told_to=told.get(worker))
            for worker in sorted(workers)
            if worker not in told or told[worker] < due_at
        ]

    # --- proofs ---------------------------------------------------------------------------------

    async def ledger(self) -> LedgerState:
        """The newest proof."""
        asked, done = await self._waiting()
        facts = done.facts if done else {}
        return LedgerState(
            checked_at=done.at if done else None,
            milliseconds=facts.get("milliseconds", 0),
            offences=[Offence(invariant=name, detail=facts[name]) for name in INVARIANTS if name in facts],
            people=facts.get("people", 0),
            epochs=[int(number) for number in facts.get("epochs", "").split()],
            asked_at=asked.at if asked else None,
        )

    async def ask(self, actor: Principal) -> LedgerState:
        """Ask for a proof: it begins within seconds.

        Raises:
            Conflict: "ledger_check_waiting": one was asked for and has not ended.
        """
        waiting, _ = await self._waiting()
        if waiting is not None:
            raise Conflict("ledger_check_waiting", "A check is under way, or about to begin.")
        await self._audit.note(Kind.LEDGER_CHECK_ASKED, actor_id=actor.user_id)
        return await self.ledger()

    async def asked(self) -> UUID | None:
        """The newest question, answered or not."""
        asked = await self._newest(Kind.LEDGER_CHECK_ASKED)
        return asked.event_id if asked else None

    async def note(self, verdict: Verdict, answers: UUID | None) -> None:
        """Take down what came out of a proof.

        It `answers` the newest question there was when it began, even if a former one did already.
        """
        facts: dict[str, Any] = {finding.invariant: finding.detail for finding in verdict.findings}
        await self._audit.note(
            Kind.LEDGER_CHECKED,
            milliseconds=verdict.milliseconds,
            people=verdict.people,
            epochs=" ".join(map(str, verdict.epochs)),
            answers=str(answers) if answers else None,
            **facts,
        )

    async def _waiting(self) -> tuple[AuditEvent | None, AuditEvent | None]:
        """The question that waits for an answer, and the newest proof."""
        asked = await self._newest(Kind.LEDGER_CHECK_ASKED)
        done = await self._newest(Kind.LEDGER_CHECKED)
        answered = asked and done and done.facts.get("answers") == str(asked.event_id)
        return None if answered else asked, done

    async def _newest(self, kind: Kind) -> AuditEvent | None:
        found = await self._audit.read(user_id=None, kind=kind, before=None, limit=1)
        return found[0] if found else None

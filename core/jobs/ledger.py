"""Proving, now and then and when it is asked for, that every figure is what the postings come to."""

from datetime import datetime, timedelta

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from services.oversight import LedgerState, Oversight
from services.proof import Proof

# From one proof to the next: each reads every posting there is.
EVERY = timedelta(hours=6)
# Seconds between two looks whether somebody asks for one.
LOOK_INTERVAL = 5.0

log = get_logger("ledger")


class LedgerCheck:
    """Proves the whole ledger; what it finds is an error in the log and in the metrics until it is gone.

    Whoever takes the duties over goes on from the proof before.
    """

    name = "ledger"
    interval = LOOK_INTERVAL

    def __init__(self, proof: Proof, oversight: Oversight, clock: Clock) -> None:
        self._proof = proof
        self._oversight = oversight
        self._clock = clock
        self._findings = 0
        self._milliseconds = 0
        self._checks = 0
        # When this process did it last.
        self._done_at: datetime | None = None

    async def step(self) -> None:
        """Prove once if it is time, or somebody asks.

        Raises:
            StorageUnavailable: call it again.
        """
        state = await self._oversight.ledger()
        self._findings, self._milliseconds = len(state.offences), state.milliseconds
        if state.asked_at is None and not self._is_due(state, self._clock.now()):
            return
        asked = await self._oversight.asked()
        verdict = await self._proof.run()
        await self._oversight.note(verdict, asked)
        self._done_at = self._clock.now()
        self._findings, self._milliseconds = len(verdict.findings), verdict.milliseconds
        self._checks += 1
        for finding in verdict.findings:
            log.error("the ledger does not hold", invariant=finding.invariant, detail=finding.detail)

    def metrics(self) -> Metrics:
        """Invariants that do not hold, how long the last look took, and how often this process looked."""
        return {
            "ledger_findings": self._findings,
            "ledger_checks_total": self._checks,
            "ledger_check_seconds": self._milliseconds / 1000,
        }

    def _is_due(self, state: LedgerState, now: datetime) -> bool:
        # A clock that was set back must not put it off.
        done = self._done_at or state.checked_at
        return done is None or not done <= now < done + EVERY

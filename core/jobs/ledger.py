"""Proving, now and then, that every figure is what the postings come to."""

from time import perf_counter

from core.logs import get_logger
from core.metrics import Metrics
from storage.base import LedgerStore

# Seconds between two checks: each reads every posting there is.
INTERVAL = 6 * 3600.0

log = get_logger("ledger")


class LedgerCheck:
    """Checks the whole ledger; what it finds is an error in the log and in the metrics until it is gone."""

    name = "ledger"
    interval = INTERVAL

    def __init__(self, ledger: LedgerStore) -> None:
        self._ledger = ledger
        self._findings = 0
        self._seconds = 0.0
        self._checks = 0

    async def step(self) -> None:
        """Check once.

        Raises:
            StorageUnavailable: call it again.
        """
        began = perf_counter()
        findings = await self._ledger.check()
        self._seconds = perf_counter() - began
        self._findings = len(findings)
        self._checks += 1
        for finding in findings:
            log.error("the ledger does not hold", invariant=finding.invariant, detail=finding.detail)

    def metrics(self) -> Metrics:
        """Invariants that do not hold, how often that was looked at, and how long the last look took."""
        return {
            "ledger_findings": self._findings,
            "ledger_checks_total": self._checks,
            "ledger_check_seconds": self._seconds,
        }

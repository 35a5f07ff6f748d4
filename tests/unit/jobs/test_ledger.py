"""The check of the ledger among the duties."""

from datetime import UTC, datetime
from uuid import UUID

from structlog.testing import capture_logs

from core.jobs import LedgerCheck
from storage.base import HOUSE, Entry, Posting
from storage.memory import MemoryDatabase, MemoryLedger

ADA = UUID(int=0xADA)


async def test_what_does_not_hold_is_told_until_it_does() -> None:
    database = MemoryDatabase()
    ledger = MemoryLedger(database)
    postings = [
        Posting(user_id=HOUSE, account="issued", category="usage", amount=-5),
        Posting(user_id=ADA, account="final", category="usage", amount=5),
    ]
    at = datetime(2026, 3, 1, tzinfo=UTC)
    await ledger.book([Entry(key="one", kind="reward", epoch=1, at=at, postings=postings)])
    check = LedgerCheck(ledger)

    await check.step()
    assert check.metrics()["ledger_findings"] == 0

    database.balances[ADA, "final", "usage"] += 1
    with capture_logs() as logs:
        await check.step()
    assert check.metrics()["ledger_findings"] == 1
    assert [(line["log_level"], line["invariant"]) for line in logs] == [("error", "balance")]
    assert f"account final of {ADA} shows 6 for usage, its postings come to 5" in logs[0]["detail"]

    database.balances[ADA, "final", "usage"] -= 1
    await check.step()
    assert check.metrics()["ledger_findings"] == 0
    assert check.metrics()["ledger_checks_total"] == 3

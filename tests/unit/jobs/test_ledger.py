"""The proof of the ledger among the duties."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from support.proofs import books_of
from support.stores import Stores, memory_stores

from core.clock import ManualClock, new_id
from core.errors import Conflict, StorageUnavailable
from core.jobs import LedgerCheck
from core.jobs.ledger import EVERY
from services.audit import Audit
from services.oversight import Oversight
from services.proof import Proof
from services.tokens import USER, Principal
from storage.base import HOUSE, Category, Entry, Posting
from storage.memory import MemoryDatabase, MemoryPresence

AT = datetime(2026, 3, 1, tzinfo=UTC)
ADA = UUID(int=0xADA)
OPERATOR = Principal(USER, new_id(), None, new_id(), "operator", AT + timedelta(days=1))


class Site:
    """A ledger with one booking, and processes that prove it."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.stores: Stores = memory_stores(self.database)
        self.clock = ManualClock(AT)
        self.proofs = 0
        self.away = False
        self.oversight = Oversight(
            epochs=self.stores.epochs,
            uptime=self.stores.uptime,
            presence=MemoryPresence(),
            audit=Audit(self.stores.audit, self.clock),
            clock=self.clock,
            grace=timedelta(seconds=60),
        )

    @classmethod
    async def begin(cls) -> "Site":
        site = cls()
        category: Category = "usage"
        postings = [
            Posting(user_id=HOUSE, account="corrections", category=category, amount=-5),
            Posting(user_id=ADA, account="final", category=category, amount=5),
        ]
        entry = Entry(key="one", kind="adjustment", epoch=1, at=AT, postings=postings)
        await site.stores.ledger.book([entry])
        return site

    def process(self) -> LedgerCheck:
        return LedgerCheck(Proof(self._open), self.oversight, self.clock)

    def _open(self):
        if self.away:
            raise StorageUnavailable("away")
        self.proofs += 1
        return books_of(self.stores, AT)()


async def test_what_does_not_hold_is_told_until_it_does() -> None:
    site = await Site.begin()
    check = site.process()

    await check.step()
    assert check.metrics()["ledger_findings"] == 0

    site.database.balances[ADA, "final", "usage"] += 1
    site.clock.advance(EVERY)
    with capture_logs() as logs:
        await check.step()
    told = [(line["log_level"], line["invariant"]) for line in logs]
    assert told == [("error", "balance"), ("error", "figure")]
    assert f"account final of {ADA} shows 6 for usage, its postings come to 5" in logs[0]["detail"]
    assert f"balance of {ADA}, the postings come to 5" in logs[1]["detail"]
    state = await site.oversight.ledger()
    assert [offence.invariant for offence in state.offences] == ["balance", "figure"]
    assert state.offences[0].detail == logs[0]["detail"]
    await check.step()
    assert check.metrics()["ledger_findings"] == 2

    site.database.balances[ADA, "final", "usage"] -= 1
    site.clock.advance(EVERY)
    await check.step()
    assert check.metrics()["ledger_findings"] == 0
    assert check.metrics()["ledger_checks_total"] == 3
    assert (await site.oversight.ledger()).offences == []


async def test_whoever_takes_over_waits_for_the_next_turn_and_knows_what_was_found() -> None:
    site = await Site.begin()
    site.database.balances[ADA, "final", "usage"] += 1
    await site.process().step()

    successor = site.process()
    site.clock.advance(EVERY - timedelta(seconds=1))
    await successor.step()
    assert (site.proofs, successor.metrics()["ledger_findings"]) == (1, 2)
    site.clock.advance(timedelta(seconds=1))
    await successor.step()
    assert site.proofs == 2


async def test_a_clock_that_is_set_back_does_not_put_a_proof_off() -> None:
    site = await Site.begin()
    check = site.process()
    await check.step()
    site.clock.advance(timedelta(hours=-1))
    for _ in range(3):
        await check.step()
    assert site.proofs == 2


async def test_who_asks_gets_one_proof_and_no_second_one_meanwhile() -> None:
    site = await Site.begin()
    check = site.process()
    await check.step()
    site.clock.advance(timedelta(minutes=1))

    state = await site.oversight.ask(OPERATOR)
    assert (state.asked_at, state.checked_at) == (site.clock.now(), AT)
    with pytest.raises(Conflict) as refused:
        await site.oversight.ask(OPERATOR)
    assert refused.value.code == "ledger_check_waiting"

    # It dies with its question unanswered: whoever comes next answers it, once.
    site.away = True
    with pytest.raises(StorageUnavailable):
        await check.step()
    site.away = False
    successor = site.process()
    for _ in range(3):
        await successor.step()
    assert site.proofs == 2
    state = await site.oversight.ledger()
    assert (state.asked_at, state.checked_at, state.people) == (None, site.clock.now(), 1)

    # The proof of the usual time is no reason to answer it again.
    site.clock.advance(EVERY)
    await successor.step()
    await successor.step()
    assert site.proofs == 3
    assert (await site.oversight.ledger()).asked_at is None

from datetime import UTC, datetime, timedelta

from support.stores import memory_stores

from core.clock import ManualClock
from core.jobs.referrals import ReferralUpkeep
from storage.base import Trait
from storage.memory import MemoryDatabase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_old_traces_are_forgotten_and_counted() -> None:
    database, clock = MemoryDatabase(), ManualClock(NOW)
    stores = memory_stores(database)
    user_id = await stores.add_user()
    await stores.referrals.saw(user_id, [Trait("address", "93.184.216.34"), Trait("device", "d")], NOW)
    upkeep = ReferralUpkeep(stores.referrals, clock, active_seconds=0, traces_days=90)
    await upkeep.step()
    assert upkeep.metrics() == {"referrals_activated_total": 0, "pruned_traces_total": 0}
    clock.advance(timedelta(days=91))
    await upkeep.step()
    assert upkeep.metrics()["pruned_traces_total"] == 2
    assert {trait.kind for _, trait in database.traits} == {"mailbox"}

from datetime import timedelta

import pytest
from support.house import PASSWORD, REFRESH_TTL, House

from core.jobs import Pruning

ADA = "ada@example.com"


@pytest.fixture
def house():
    house = House()
    yield house
    house.close()


def pruning_of(house: House) -> Pruning:
    return Pruning(
        confirmations=house.stores.confirmations,
        sessions=house.stores.sessions,
        idempotency=house.stores.idempotency,
        audit=house.audit,
        clock=house.clock,
        audit_days=30,
    )


async def test_what_has_run_out_is_dropped_and_the_rest_stays(house: House) -> None:
    pruning = pruning_of(house)
    user = await house.person(ADA)
    await house.accounts.registrar.register("bob@example.com", PASSWORD)
    await house.accounts.recovery.forgot(ADA)
    await house.accounts.sign_ins.sign_in(ADA, PASSWORD)
    now = house.clock.now()
    await house.stores.idempotency.begin(user.user_id, "a key", b"f", now, now)
    await pruning.step()
    assert set(pruning.metrics().values()) == {0}

    house.clock.advance(timedelta(seconds=REFRESH_TTL))
    await pruning.step()
    assert pruning.metrics()["pruned_sessions_total"] == 1
    assert house.database.resets == {}
    assert len(house.database.registrations) == 1

    house.clock.advance(timedelta(days=1))
    await pruning.step()
    assert house.database.registrations == {}
    assert (pruning.metrics()["pruned_confirmations_total"], pruning.metrics()["pruned_answers_total"]) == (
        2,
        1,
    )
    assert pruning.metrics()["pruned_audit_events_total"] == 0

    house.clock.advance(timedelta(days=30))
    await pruning.step()
    assert pruning.metrics()["pruned_audit_events_total"] == 4
    assert await house.kinds_noted() == []

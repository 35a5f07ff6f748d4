"""The closing of epochs and the checks of the ledger, as the staff sees them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from support.api import Api
from support.callers import make_callers
from support.earned import Farm
from support.house import SETTLING
from support.proofs import books_of

from core.clock import to_ms
from core.jobs import LedgerCheck
from core.jobs.ledger import EVERY
from services.proof import Proof
from storage.base import Batch, Process

NOBODY_YET = {
    "checked_at": None,
    "milliseconds": 0,
    "offences": [],
    "people": 0,
    "epochs": [],
    "asked_at": None,
}


async def get(api: Api, path: str, token: str | None) -> Any:
    answer = await api.call("GET", path, token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def chore(api: Api) -> LedgerCheck:
    """What the jobs process does."""
    house = api.house
    proof = Proof(books_of(house.stores, house.clock.now()))
    return LedgerCheck(proof, house.oversight(api.presence), house.clock)


async def farmed(api: Api, hours: int) -> tuple[Farm, UUID]:
    """Somebody with a node that worked for some hours; returns who."""
    farm = await Farm.begin(api.house)
    owner = await api.house.person("ada@example.com")
    node_id = await farm.node(owner)
    for _ in range(hours):
        await farm.work({node_id: 600}, minutes=30)
        await farm.close()
    return farm, owner.user_id


async def test_an_operator_asks_for_a_check_and_reads_what_it_found(api: Api) -> None:
    callers = await make_callers(api.house)
    assert await get(api, "/admin/ledger", callers.token("support")) == NOBODY_YET
    _, user_id = await farmed(api, 3)

    asked = await api.call("POST", "/admin/ledger/checks", token=callers.token("operator"))
    assert asked.status_code == 202
    assert asked.json() == NOBODY_YET | {"asked_at": asked.json()["asked_at"]}
    assert asked.json()["asked_at"] is not None
    again = await api.call("POST", "/admin/ledger/checks", token=callers.token("operator"))
    assert (again.status_code, again.json()["code"]) == (409, "ledger_check_waiting")

    await chore(api).step()
    state = await get(api, "/admin/ledger", callers.token("support"))
    assert (state["asked_at"], state["offences"], state["people"]) == (None, [], 1)
    assert state["epochs"][0] == 3
    assert state["checked_at"] is not None

    api.house.database.balances[user_id, "claimed", "usage"] = 7
    api.house.clock.advance(EVERY)
    await chore(api).step()
    state = await get(api, "/admin/ledger", callers.token("support"))
    assert [each["invariant"] for each in state["offences"]] == ["balance", "figure"]
    assert f"account claimed of {user_id} shows 7 for usage" in state["offences"][0]["detail"]


async def test_asking_and_checking_are_in_the_audit_log(api: Api) -> None:
    callers = await make_callers(api.house)
    await api.call("POST", "/admin/ledger/checks", token=callers.token("operator"))
    await chore(api).step()

    events = (await get(api, "/admin/audit?kind=ledger.", callers.token("operator")))["items"]

    assert [event["kind"] for event in events] == ["ledger.checked", "ledger.check_asked"]
    assert events[0]["facts"]["answers"] == events[1]["event_id"]
    assert events[1]["actor_id"] == str(callers.people["operator"].user_id)


async def test_only_an_operator_may_ask(api: Api) -> None:
    callers = await make_callers(api.house)
    for role, status in (("user", 403), ("support", 403), ("anonymous", 401)):
        answer = await api.call("POST", "/admin/ledger/checks", token=callers.token(role))
        assert answer.status_code == status, role
    for path in ("/admin/ledger", "/admin/epochs"):
        assert (await api.call("GET", path, token=callers.token("user"))).status_code == 403


async def test_epochs_are_shown_with_what_the_next_close_waits_for(api: Api) -> None:
    callers = await make_callers(api.house)
    token = callers.token("support")
    assert await get(api, "/admin/epochs", token) == {"open": None, "items": [], "next_cursor": None}
    await farmed(api, 3)
    house, token = api.house, callers.token("support")

    found = await get(api, "/admin/epochs?limit=2", token)
    assert [epoch["number"] for epoch in found["items"]] == [3, 2]
    pools = {pool["category"]: pool for pool in found["items"][0]["pools"]}
    assert int(pools["availability"]["rewarded"]) + int(pools["availability"]["unallocated"]) == 7_200_000
    rest = await get(api, f"/admin/epochs?limit=2&cursor={found['next_cursor']}", token)
    assert ([epoch["number"] for epoch in rest["items"]], rest["next_cursor"]) == ([1], None)
    assert (found["open"]["number"], found["open"]["late_ms"], found["open"]["waiting_for"]) == (4, 0, [])

    # Three workers: one has told everything, one is late, one has told nothing.
    for name in ("w1", "w2", "w3"):
        await api.presence.renew(Process(kind="worker", process_id=name, admin_url="", metrics={}), 60_000)
    await api.presence.renew(Process(kind="api", process_id="a1", admin_url="", metrics={}), 60_000)
    epoch = await house.stores.epochs.open()
    assert epoch is not None
    due = epoch.ends_at + timedelta(seconds=SETTLING)
    for name, until in (("w1", due), ("w2", due - timedelta(seconds=1))):
        await house.uptime.apply([Batch(name, 1_000, [], until_ms=to_ms(until))], {})
    house.clock.advance(due + timedelta(seconds=5) - house.clock.now())

    closing = (await get(api, "/admin/epochs", callers.token("support")))["open"]
    assert (closing["number"], closing["late_ms"]) == (4, 5000)
    assert [each["worker"] for each in closing["waiting_for"]] == ["w2", "w3"]
    assert closing["waiting_for"][1]["told_to"] is None


async def test_a_cursor_of_something_else_is_refused(api: Api) -> None:
    callers = await make_callers(api.house)
    answer = await api.call("GET", "/admin/epochs?cursor=nonsense", token=callers.token("support"))
    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")

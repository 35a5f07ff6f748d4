"""Campaigns over HTTP, and the arithmetic of their bonuses."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.api import Api
from support.callers import Callers, make_callers
from support.earned import TERMS, Farm

from core.clock import new_id
from storage.base import FirstHours, Place, Streak

RICH = replace(
    TERMS,
    bonus_pool=3_000_001,
    streak=Streak(days=1, least_seconds=100, amount=777_777),
    first_hours=FirstHours(hours=100, share=5000),
)


@pytest.fixture
async def callers(api: Api) -> Callers:
    return await make_callers(api.house)


def draft(api: Api, **changes: object) -> dict[str, object]:
    """A campaign of a day, from the next hour on."""
    start = api.house.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    facts = {
        "name": "spring",
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(days=1)).isoformat(),
        "share": 2500,
        "budget": "1000000",
    }
    return {**facts, **changes}


async def ask(api: Api, callers: Callers, method: str, path: str = "", body: Any = None) -> Any:
    """What the staff is answered: only operators change anything."""
    role = "support" if method == "GET" else "operator"
    answer = await api.call(method, f"/admin/campaigns{path}", body, token=callers.token(role))
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def refused(api: Api, callers: Callers, method: str, path: str, body: Any) -> tuple[int, str, Any]:
    answer = await api.call(method, f"/admin/campaigns{path}", body, token=callers.token("operator"))
    problem = answer.json()
    return answer.status_code, problem["code"], problem.get("field")


# --- the staff ------------------------------------------------------------------------------------


async def test_an_operator_makes_a_campaign_and_the_staff_finds_it(api: Api, callers: Callers) -> None:
    made = await ask(api, callers, "POST", "", draft(api, country="DE"))
    assert (made["state"], made["spent"], made["version"], made["country"]) == ("planned", "0", 1, "DE")
    assert made["updated_by"] == str(callers.people["operator"].user_id)
    assert await ask(api, callers, "GET", f"/{made['campaign_id']}") == made
    more = [await ask(api, callers, "POST", "", draft(api, name=name)) for name in ("two", "three")]
    first = await ask(api, callers, "GET", "?limit=2")
    assert first["items"] == more[::-1]
    rest = await ask(api, callers, "GET", f"?limit=2&cursor={first['next_cursor']}")
    assert (rest["items"], rest["next_cursor"]) == ([made], None)


async def test_a_campaign_without_a_beginning_begins_at_once(api: Api, callers: Callers) -> None:
    api.house.clock.advance(timedelta(microseconds=1))
    body = draft(api)
    del body["starts_at"]
    made = await ask(api, callers, "POST", "", body)
    start = datetime.fromisoformat(made["starts_at"])
    assert timedelta(0) < start - api.house.clock.now() < timedelta(seconds=1)
    assert start.microsecond == 0
    api.house.clock.advance(timedelta(seconds=1))
    assert (await ask(api, callers, "GET", f"/{made['campaign_id']}"))["state"] == "running"
    api.house.clock.advance(timedelta(days=2))
    assert (await ask(api, callers, "GET", f"/{made['campaign_id']}"))["state"] == "over"


async def test_a_campaign_is_made_once_however_often_it_is_sent(api: Api, callers: Callers) -> None:
    token, body = callers.token("operator"), draft(api)
    key = {"Idempotency-Key": "campaign-of-spring"}
    answers = [await api.call("POST", "/admin/campaigns", body, token=token, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len((await ask(api, callers, "GET"))["items"]) == 1


NO_CAMPAIGNS: list[tuple[dict[str, object], str]] = [
    ({"name": ""}, "name"),
    ({"name": "  "}, "name"),
    ({"name": "a" * 101}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"country": "de"}, "country"),
    ({"country": ""}, "country"),
    ({"country": "DEU"}, "country"),
    ({"country": "D\n"}, "country"),
    ({"share": 0}, "share"),
    ({"share": -1}, "share"),
    ({"share": 100_001}, "share"),
    ({"share": 2**63}, "share"),
    ({"share": 0.5}, "share"),
    ({"budget": "-1"}, "budget"),
    ({"budget": "1e3"}, "budget"),
    ({"budget": "1000000000000000001"}, "budget"),
    ({"budget": 5}, "budget"),
    ({"budget": "٣"}, "budget"),
    ({"starts_at": "2020-01-01T00:00:00Z"}, "starts_at"),
    ({"starts_at": "soon"}, "starts_at"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
    ({"ends_at": "2036-02-01T00:00:00Z"}, "ends_at"),
    ({"ends_at": "2026-02-01T00:00:00.5Z"}, "ends_at"),
    ({"ends_at": 1767225600}, "ends_at"),
]


async def test_what_cannot_be_a_campaign_is_refused(api: Api, callers: Callers) -> None:
    for changes, field in NO_CAMPAIGNS:
        answer = await refused(api, callers, "POST", "", draft(api, **changes))
        assert answer == (400, "invalid_input", field), changes
    assert (await ask(api, callers, "GET"))["items"] == []


async def test_there_are_only_so_many_campaigns_that_are_not_over(api: Api, callers: Callers) -> None:
    for _ in range(20):
        await ask(api, callers, "POST", "", draft(api))
    assert (await refused(api, callers, "POST", "", draft(api)))[:2] == (409, "campaigns_most")
    api.house.clock.advance(timedelta(days=3))
    await ask(api, callers, "POST", "", draft(api))


async def test_a_campaign_is_changed_until_it_is_over(api: Api, callers: Callers) -> None:
    made = await ask(api, callers, "POST", "", draft(api))
    path, start = f"/{made['campaign_id']}", datetime.fromisoformat(made["starts_at"])
    later = (start + timedelta(hours=1)).isoformat()
    changed = await ask(
        api, callers, "PATCH", path, {"version": 1, "name": "summer", "starts_at": later, "share": 1}
    )
    assert (changed["name"], changed["share"], changed["version"]) == ("summer", 1, 2)
    assert (changed["budget"], changed["ends_at"]) == (made["budget"], made["ends_at"])
    assert await ask(api, callers, "PATCH", path, {"version": 2, "name": "summer"}) == changed
    assert (await refused(api, callers, "PATCH", path, {"version": 1, "name": "autumn"}))[:2] == (
        409,
        "campaign_changed",
    )
    past = {"version": 2, "starts_at": (start - timedelta(days=1)).isoformat()}
    assert await refused(api, callers, "PATCH", path, past) == (400, "invalid_input", "starts_at")
    api.house.clock.advance(timedelta(hours=3))
    for body in ({"share": 2}, {"starts_at": (start + timedelta(hours=4)).isoformat()}):
        answer = await refused(api, callers, "PATCH", path, {"version": 2, **body})
        assert answer[:2] == (409, "campaign_begun")
    ended = {"version": 2, "ends_at": (start + timedelta(hours=1, seconds=1)).isoformat()}
    assert await refused(api, callers, "PATCH", path, ended) == (400, "invalid_input", "ends_at")
    now = (api.house.clock.now() + timedelta(seconds=1)).isoformat()
    stopped = await ask(api, callers, "PATCH", path, {"version": 2, "ends_at": now, "budget": "0"})
    assert (stopped["state"], stopped["version"]) == ("exhausted", 3)
    api.house.clock.advance(timedelta(seconds=1))
    answer = await refused(api, callers, "PATCH", path, {"version": 3, "budget": "7"})
    assert answer[:2] == (409, "campaign_over")
    notes = [
        event
        for event in await api.house.stores.audit.read(user_id=None, kind=None, before=None, limit=50)
        if event.kind.startswith("campaign.")
    ]
    assert [note.kind for note in notes] == ["campaign.changed", "campaign.changed", "campaign.added"]
    assert "budget: 1000000 → 0" in notes[0].facts["changes"]
    assert {note.actor_id for note in notes} == {callers.people["operator"].user_id}


async def test_what_was_spent_is_the_least_that_a_budget_can_be(api: Api, callers: Callers) -> None:
    farm = await Farm.begin(api.house, RICH)
    node = await farm.node(await api.house.person())
    body = draft(api, share=10_000, budget="5000")
    del body["starts_at"]
    made = await ask(api, callers, "POST", "", body)
    await farm.work({node: 1000}, minutes=30)
    await farm.close()
    path = f"/{made['campaign_id']}"
    found = await ask(api, callers, "GET", path)
    spent = int(found["spent"])
    assert 0 < spent <= 5000
    answer = await refused(api, callers, "PATCH", path, {"version": 1, "budget": str(spent - 1)})
    assert answer[:2] == (409, "campaign_spent")
    changed = await ask(api, callers, "PATCH", path, {"version": 1, "budget": str(spent)})
    assert (changed["state"], changed["spent"]) == ("exhausted", str(spent))


async def test_a_campaign_that_there_is_not_is_not_found(api: Api, callers: Callers) -> None:
    for method, body in (("GET", None), ("PATCH", {"version": 1})):
        answer = await refused(api, callers, method, f"/{new_id()}", body)
        assert answer[:2] == (404, "campaign_not_found")


# --- the arithmetic -------------------------------------------------------------------------------


async def bonuses(api: Api, number: int, tokens: list[str]) -> list[dict[str, Any]]:
    found = []
    for token in tokens:
        answer = await api.call("GET", f"/earnings/epochs/{number}", token=token)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
    return found


async def locate(api: Api, node_id: UUID, country: str) -> None:
    """Where a node is; a database would have it from the address that it came from."""
    state = api.house.database.states[node_id]
    state.place = Place(country=country)


async def test_bonuses_can_be_computed_again_from_the_api_alone(api: Api, callers: Callers) -> None:
    farm, emails = await Farm.begin(api.house, RICH), ("ada@example.com", "bob@example.com")
    nodes: list[UUID] = []
    for email in emails:
        owner = await api.house.person(email)
        for country in ("DE", "FR"):
            nodes.append(await farm.node(owner))
            await locate(api, nodes[-1], country)
    for country, share, budget in ((None, 4000, "10000000"), ("DE", 9999, "300001")):
        body = draft(api, country=country, share=share, budget=budget, name=f"in {country}")
        del body["starts_at"]
        await ask(api, callers, "POST", "", body)
    for hour in range(2):
        await farm.work(
            {node: 300 + 91 * place + hour for place, node in enumerate(nodes)}, minutes=30, moved=7
        )
        await farm.close()
    tokens = [(await api.sign_in(email))["access_token"] for email in emails]
    for number in (1, 2):
        found = await bonuses(api, number, tokens)
        check_bonuses(found)
    listed = {each["campaign_id"]: each for each in (await ask(api, callers, "GET"))["items"]}
    assert all(int(each["spent"]) <= int(each["budget"]) for each in listed.values())
    lines = [line for own in found[0]["bonuses"]["own"] for line in own["arithmetic"]]
    assert any(line.startswith("campaign in DE = ") and " × 9999 × " in line for line in lines)
    assert any(line.startswith("first_hours = ") for line in lines)


def check_bonuses(found: list[dict[str, Any]]) -> None:
    """Compute an epoch's bonuses again from what everybody is told of it."""
    terms, pools = found[0]["terms"], {each["category"]: each for each in found[0]["epoch"]["pools"]}
    pool = int(terms["bonus_pool"]) * found[0]["seconds"] // 3600
    mine = [pools[name] for name in ("streak", "first_hours", "campaign") if name in pools]
    total = sum(int(each["weight"]) for each in mine)
    assert sum(int(each["rewarded"]) for each in mine) <= pool
    wanted = wanted_of_campaigns(found)
    paid: Counter[str] = Counter()
    for each in found:
        assert (each["bonuses"]["pool"], each["bonuses"]["wanted"]) == (str(pool), str(total))
        sums: Counter[str] = Counter()
        for own in each["bonuses"]["own"]:
            amount = computed(own, each, terms, wanted)
            assert int(own["wanted"]) == amount
            amount = amount * pool // total if total > pool else amount
            assert int(own["amount"]) == amount
            sums[own["category"]] += amount
            paid[own["campaign"]["campaign_id"] if own["campaign"] else ""] += amount
        booked = {line["category"]: int(line["amount"]) for line in each["booked"]}
        assert all(booked[category] == amount for category, amount in sums.items())
    campaigns = {own["campaign"]["campaign_id"]: own["campaign"] for own in own_campaigns(found)}
    assert {name: int(each["paid"]) for name, each in campaigns.items()} == {
        name: amount for name, amount in paid.items() if name
    }
    assert {name: int(each["wanted"]) for name, each in campaigns.items()} == wanted


def wanted_of_campaigns(found: list[dict[str, Any]]) -> dict[str, int]:
    """What all together would get of each campaign without a limit."""
    wanted: Counter[str] = Counter()
    for each in found:
        for own in own_campaigns([each]):
            reward = reward_in(each["nodes"], own["campaign"]["country"])
            wanted[own["campaign"]["campaign_id"]] += raw(own, reward, each["seconds"])
    return wanted


def own_campaigns(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [own for each in found for own in each["bonuses"]["own"] if own["campaign"]]


def reward_in(nodes: list[dict[str, Any]], country: str | None) -> int:
    counted = [node for node in nodes if country in (None, node["country"])]
    return sum(int(node["availability"]) + int(node["usage"]) for node in counted)


def raw(own: dict[str, Any], reward: int, seconds: int) -> int:
    campaign = own["campaign"]
    assert int(own["reward"]) == reward
    found: int = reward * campaign["share"] * campaign["seconds"] // (10_000 * seconds)
    return found


def computed(own: dict[str, Any], each: dict[str, Any], terms: dict[str, Any], wanted: dict[str, int]) -> int:
    """What a bonus wants of the pool."""
    if own["category"] == "streak":
        assert own["days"] % terms["streak"]["days"] == 0
        return int(terms["streak"]["amount"])
    if own["category"] == "first_hours":
        reward, seconds = reward_in(each["nodes"], None), sum(node["seconds"] for node in each["nodes"])
        assert int(own["reward"]) == reward
        share: int = terms["first_hours"]["share"]
        return reward * share * int(own["seconds"]) // (10_000 * seconds)
    campaign = own["campaign"]
    bonus = raw(own, reward_in(each["nodes"], campaign["country"]), each["seconds"])
    available, total = int(campaign["available"]), wanted[campaign["campaign_id"]]
    return bonus if total <= available else bonus * available // total


async def test_an_epoch_without_bonuses_has_no_arithmetic_of_them(api: Api) -> None:
    farm = await Farm.begin(api.house)
    node = await farm.node(await api.house.person())
    await farm.work({node: 60}, minutes=30)
    await farm.close()
    (found,) = await bonuses(api, 1, [(await api.sign_in())["access_token"]])
    assert found["bonuses"] is None

"""What was earned, as the API tells it: enough to compute it again."""

import csv
import io
from typing import Any
from uuid import UUID

import pytest
from support.api import Api
from support.earned import Farm

from core.clock import new_id

WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
EMAILS = ("ada@example.com", "bob@example.com", "cleo@example.com")


async def farmed(api: Api, hours: int = 4) -> tuple[Farm, list[str]]:
    """Three people with one, two and three nodes, after some hours; returns their tokens."""
    farm = await Farm.begin(api.house)
    nodes: list[UUID] = []
    for count, email in enumerate(EMAILS, 1):
        owner = await api.house.person(email)
        assert await api.house.user_store.set_wallet(owner.user_id, WALLET[:-1] + str(count))
        nodes += [await farm.node(owner) for _ in range(count)]
    for hour in range(hours):
        seconds = {node: 100 + 37 * index + hour for index, node in enumerate(nodes)}
        await farm.work(seconds, minutes=30, moved=1 + 1_000_003 * hour)
        await farm.close()
    return farm, [(await api.sign_in(email))["access_token"] for email in EMAILS]


async def get(api: Api, path: str, token: str) -> Any:
    answer = await api.call("GET", path, token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def points_of(terms: dict[str, Any], node: dict[str, Any]) -> int:
    if node["score"] is None:
        return int(terms["unmeasured_score"]) * int(node["gate"]) // 4
    return int(node["score"])


async def test_an_epoch_can_be_computed_again_from_the_api_alone(api: Api) -> None:
    _, tokens = await farmed(api)
    numbers = [each["number"] for each in (await get(api, "/earnings/epochs", tokens[0]))["items"]]
    assert numbers == [4, 3, 2, 1]
    for number in numbers:
        found = [await get(api, f"/earnings/epochs/{number}", token) for token in tokens]
        epoch, terms = found[0]["epoch"], found[0]["terms"]
        assert all((each["epoch"], each["terms"]) == (epoch, terms) for each in found)
        nodes = [node for each in found for node in each["nodes"]]
        assert (len(nodes), epoch["nodes"], epoch["users"]) == (6, 6, 3)
        pools = {pool["category"]: pool for pool in epoch["pools"]}
        weights: dict[str, dict[str, int]] = {
            "availability": {n["node_id"]: n["seconds"] * points_of(terms, n) for n in nodes},
            "usage": {n["node_id"]: n["bytes"] for n in nodes},
        }
        for category, mine in weights.items():
            pool, total = pools[category], sum(mine.values())
            amount = int(terms[f"{category}_pool"]) * found[0]["seconds"] // 3600
            assert (int(pool["pool"]), int(pool["weight"])) == (amount, total)
            rewards = {node_id: amount * weight // total for node_id, weight in mine.items()}
            for node in nodes:
                assert int(node[f"{category}_weight"]) == mine[node["node_id"]]
                assert int(node[category]) == rewards[node["node_id"]]
            assert int(pool["rewarded"]) == sum(rewards.values())
            assert int(pool["rewarded"]) + int(pool["unallocated"]) == amount
            # A person has the sum of their nodes, and that is what the ledger has.
            for each in found:
                own = sum(rewards[node["node_id"]] for node in each["nodes"])
                booked = {line["category"]: int(line["amount"]) for line in each["booked"]}
                assert booked[category] == own


async def test_the_arithmetic_is_in_words_too(api: Api) -> None:
    _, (token, *_) = await farmed(api, 1)
    explained = await get(api, "/earnings/epochs/1", token)
    (node,) = explained["nodes"]
    weight = node["seconds"] * node["points"]
    pool = {each["category"]: each for each in explained["epoch"]["pools"]}["availability"]
    assert f"availability_weight = {node['seconds']} s × {node['points']} = {weight}" in node["arithmetic"]
    line = f"availability = {pool['pool']} × {weight} / {pool['weight']} = {node['availability']}"
    assert line in node["arithmetic"]
    assert f"points = 5000 × {node['gate']} / 4 = {node['points']}" == node["arithmetic"][0]
    assert "pool of availability = 7200000 × 3600 / 3600 = 7200000" in explained["method"]


async def test_every_screen_has_the_same_number(api: Api) -> None:
    farm, (_, token, _) = await farmed(api)
    user_id = api.house.tokens.verify(token).user_id
    overview = await get(api, "/me/overview", token)
    summary = await get(api, "/earnings/summary", token)
    rewards = await get(api, "/rewards", token)
    history = await get(api, "/earnings/history?limit=200", token)
    series = await get(api, "/earnings/series?period=month", token)
    ledger = (await api.house.stores.ledger.balances([user_id]))[user_id]
    figures = {
        overview["balance"],
        summary["balance"],
        rewards["balance"],
        str(sum(int(item["amount"]) for item in history["items"])),
        series["amount"],
        str(ledger.earned),
    }
    assert len(figures) == 1
    assert int(overview["balance"]) > farm.pool
    states = ("pending", "held", "final", "claimable", "claimed")
    assert [summary[state] for state in states] == [rewards[state] for state in states]
    assert summary["accruing"] == overview["accruing"]


async def test_a_claim_is_made_once_however_often_it_is_sent(api: Api) -> None:
    _, (token, *_) = await farmed(api)
    claimable = (await get(api, "/rewards", token))["claimable"]
    key = {"Idempotency-Key": "claim-of-today"}
    answers = [await api.call("POST", "/rewards/claims", token=token, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["amount"] == claimable
    rewards = await get(api, "/rewards", token)
    assert (rewards["claimable"], rewards["claimed"]) == ("0", claimable)
    again = await api.call("POST", "/rewards/claims", token=token)
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_claim")


async def test_without_a_wallet_a_claim_is_refused(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("POST", "/rewards/claims", token=token)
    assert (answer.status_code, answer.json()["code"]) == (409, "wallet_missing")


async def test_history_and_epochs_come_page_by_page(api: Api) -> None:
    _, (token, *_) = await farmed(api)
    for path, name in (("/earnings/history", "entry_id"), ("/earnings/epochs", "number")):
        whole = [item[name] for item in (await get(api, path, token))["items"]]
        found, cursor = [], ""
        while True:
            page = await get(api, f"{path}?limit=1{cursor}", token)
            found += [item[name] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == whole
        assert len(whole) == len(set(whole)) >= 4


@pytest.mark.parametrize("path", ["/earnings/history", "/earnings/epochs"])
async def test_a_cursor_of_something_else_is_refused(api: Api, path: str) -> None:
    from core.http.pages import cursor_of

    token = (await api.sign_in())["access_token"]
    for cursor in ("nonsense", cursor_of(new_id()), cursor_of(UUID(int=1 << 64))):
        answer = await api.call("GET", f"{path}?cursor={cursor}", token=token)
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize("number", ["0", "5", "-1", "99999999999999999999"])
async def test_an_epoch_that_is_not_closed_is_not_found(api: Api, number: str) -> None:
    _, (token, *_) = await farmed(api, 1)
    answer = await api.call("GET", f"/earnings/epochs/{number}", token=token)
    assert (answer.status_code, answer.json()["code"]) == (404, "epoch_not_found")


async def test_a_series_is_in_ones_own_time_zone_and_has_gaps(api: Api) -> None:
    _, (token, *_) = await farmed(api)
    changed = await api.call("PATCH", "/me", {"time_zone": "Europe/Berlin"}, token=token)
    assert changed.status_code == 200
    query = "period=day&from=2026-03-28T12:00:00Z&to=2026-03-30T12:00:00%2B02:00"
    series = await get(api, f"/earnings/series?{query}", token)
    assert [point["start"] for point in series["points"]] == [
        "2026-03-27T23:00:00Z",
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z",
    ]
    assert {point["amount"] for point in series["points"]} == {None}
    hours = await get(api, "/earnings/series?period=hour", token)
    booked = [point for point in hours["points"] if point["amount"]]
    assert len(booked) == 4
    assert sum(int(point["amount"]) for point in booked) == int(hours["amount"])
    for point in booked:
        assert sum(int(amount) for amount in point["categories"].values()) == int(point["amount"])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("period=year", "invalid_input"),
        ("from=yesterday", "invalid_input"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "range_invalid"),
        ("to=0001-01-01T00:00:00Z", "range_invalid"),
        ("from=9999-12-31T23:59:59-10:00", "range_invalid"),
        ("period=hour&from=2025-01-01T00:00:00Z", "range_too_long"),
    ],
)
async def test_what_cannot_be_a_series_is_refused(api: Api, query: str, code: str) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("GET", f"/earnings/series?{query}", token=token)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_the_copy_of_everything_has_the_bookings(api: Api) -> None:
    _, (token, *_) = await farmed(api)
    copy = (await api.call("GET", "/me/export", token=token)).json()
    history = await get(api, "/earnings/history?limit=200", token)
    assert copy["earnings"] == history["items"]


async def test_summary_is_answered_304_while_nothing_changes(api: Api) -> None:
    _, (token, *_) = await farmed(api, 1)
    first = await api.call("GET", "/earnings/summary", token=token)
    headers = {"If-None-Match": first.headers["etag"]}
    assert (await api.call("GET", "/earnings/summary", token=token, headers=headers)).status_code == 304


async def test_the_copy_of_everything_has_referrals_and_the_nodes_sessions(api: Api) -> None:
    _, (token, *_) = await farmed(api)
    code = (await api.call("POST", "/referrals/codes", {}, token=token)).json()["code"]
    copy = (await api.call("GET", "/me/export", token=token)).json()
    assert [each["shown"] for each in copy["referral_codes"]] == [code]
    assert (copy["joined_by"], copy["referrals"]) == (None, [])
    (session,) = copy["node_sessions"]
    assert session["node_id"] == copy["nodes"][0]["node_id"]
    assert (session["address"], session["closed_at"]) == ("198.51.100.7", None)


async def test_the_history_comes_as_a_table_too(api: Api) -> None:
    _, (token, *_) = await farmed(api)
    answer = await api.call("GET", "/earnings/history.csv", token=token)
    assert answer.headers["content-type"].partition(";")[0] == "text/csv"
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    history = (await get(api, "/earnings/history?limit=200", token))["items"]
    lines = [(item, line) for item in history for line in item["lines"]]
    assert len(rows) == len(lines) > 8
    for row, (item, line) in zip(rows, lines, strict=True):
        assert (row["entry_id"], row["key"], row["kind"]) == (
            str(item["entry_id"]),
            item["key"],
            item["kind"],
        )
        assert (row["account"], row["category"], row["micro_points"]) == (
            line["account"],
            line["category"],
            line["amount"],
        )
        assert (row["matures_at"] == "") == (line["matures_at"] is None)
    summary = await get(api, "/earnings/summary", token)
    assert str(sum(int(row["micro_points"]) for row in rows)) == summary["balance"]


async def test_a_table_without_bookings_has_its_head(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("GET", "/earnings/history.csv", token=token)
    assert answer.text.splitlines() == ["entry_id,at,epoch,kind,key,category,account,micro_points,matures_at"]


async def test_nodes_add_up_to_what_their_owner_has(api: Api) -> None:
    _, (_, token, _) = await farmed(api)
    nodes = [node["node_id"] for node in (await get(api, "/nodes", token))["items"]]
    assert len(nodes) == 2
    for period in ("hour", "day", "week", "month"):
        whole = await get(api, f"/earnings/series?period={period}", token)
        parts = [await get(api, f"/earnings/series?period={period}&node_id={node}", token) for node in nodes]
        assert [part["node_id"] for part in parts] == nodes
        assert sum(int(part["amount"]) for part in parts) == int(whole["amount"]) > 0
        for points in zip(whole["points"], *(part["points"] for part in parts), strict=True):
            amounts = [point["amount"] for point in points]
            assert (amounts[0] is None) == all(amount is None for amount in amounts[1:])
            assert int(amounts[0] or 0) == sum(int(amount or 0) for amount in amounts[1:])
            assert len({(point["start"], point["end"], point["complete"]) for point in points}) == 1
    for node, part in zip(nodes, parts, strict=True):
        page = await get(api, f"/nodes/{node}/earnings", token)
        assert [each["epoch"] for each in page["items"]] == [4, 3, 2, 1]
        assert sum(int(each["amount"]) for each in page["items"]) == int(part["amount"])
        explained = {each["node_id"]: each for each in (await get(api, "/earnings/epochs/3", token))["nodes"]}
        third = page["items"][1]
        for name in ("seconds", "bytes", "availability", "usage", "score", "gate"):
            assert third[name] == explained[node][name]
        first = await get(api, f"/nodes/{node}/earnings?limit=3", token)
        rest = await get(api, f"/nodes/{node}/earnings?limit=3&cursor={first['next_cursor']}", token)
        assert first["items"] + rest["items"] == page["items"]
        assert rest["next_cursor"] is None


async def test_of_others_nodes_nothing_is_told(api: Api) -> None:
    _, (token, other, _) = await farmed(api, 1)
    (node,) = (await get(api, "/nodes", token))["items"]
    for node_id in (node["node_id"], str(new_id())):
        for path in (f"/earnings/series?node_id={node_id}", f"/nodes/{node_id}/earnings"):
            answer = await api.call("GET", path, token=other)
            assert (answer.status_code, answer.json()["code"]) == (404, "node_not_found")


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns"])
async def test_days_of_any_zone_add_up_to_all_there_is(api: Api, zone: str) -> None:
    farm, (_, token, _) = await farmed(api, 26)
    assert (await api.call("PATCH", "/me", {"time_zone": zone}, token=token)).status_code == 200
    balance = (await get(api, "/earnings/summary", token))["balance"]
    for period in ("hour", "day", "week", "month"):
        series = await get(api, f"/earnings/series?period={period}", token)
        assert (series["amount"], series["time_zone"]) == (balance, zone)
    days = [p for p in (await get(api, "/earnings/series", token))["points"] if p["amount"] is not None]
    hours = (await get(api, "/earnings/series?period=hour", token))["points"]
    for day in days:
        # An hour is of the day in which it began.
        mine = [int(p["amount"]) for p in hours if p["amount"] and day["start"] <= p["start"] < day["end"]]
        assert int(day["amount"]) == sum(mine)
    epoch = await api.house.stores.epochs.open()
    assert epoch is not None
    assert [day["complete"] for day in days[:-1]] == [True] * (len(days) - 1)
    assert farm is not None

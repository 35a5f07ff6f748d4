"""What was measured, as the API tells it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.api import Api
from support.house import START

from core.clock import new_id
from storage.base import Batch, Closed, Node, Opened, Place, Report

HOUR = int(START.timestamp()) // 3600
BERLIN = Place(country="DE", asn=64500)


async def node_of(api: Api, session: dict[str, Any]) -> Node:
    owner = await api.house.user_store.by_id(UUID(session["user"]["user_id"]))
    assert owner is not None
    return await api.house.node(owner, Ed25519PrivateKey.generate())


async def stay(api: Api, node: Node, seconds: int, place: Place = BERLIN) -> UUID:
    """Have a worker report that a node came, was confirmed since the full hour, and left."""
    connection, now_ms = new_id(), api.house.now_ms
    report = Report(
        node.node_id, connection, HOUR, 0, seconds, now_ms // 1000, bytes_up=7, bytes_down=9, answered=3
    )
    records = [
        Opened(node.node_id, connection, now_ms, "198.51.100.7"),
        report,
        Closed(node.node_id, connection, now_ms + 1000, 1000),
    ]
    await api.house.uptime.apply([Batch(f"worker-{connection}", 1, records)], {"198.51.100.7": place})
    return connection


async def test_a_series_has_gaps_where_nothing_was_measured(api: Api) -> None:
    session = await api.sign_in()
    node = await node_of(api, session)
    await stay(api, node, 120)
    path = f"/nodes/{node.node_id}/stats"
    series = (await api.call("GET", path, token=session["access_token"])).json()
    assert (series["step"], series["seconds"], len(series["points"])) == ("hour", 120, 49)
    measured = [point for point in series["points"] if point["seconds"] is not None]
    assert [(point["seconds"], point["bytes_up"], point["answered"]) for point in measured] == [(120, 7, 3)]
    assert measured[0]["rtt_p50_ms"] is None
    # By the minute, over the range that was asked for.
    query = "step=minute&from=2026-01-02T03:00:00Z&to=2026-01-02T03:05:00%2B00:00"
    minutes = (await api.call("GET", f"{path}?{query}", token=session["access_token"])).json()["points"]
    assert [point["seconds"] for point in minutes] == [60, 60, None, None, None]


async def test_a_time_without_an_offset_is_utc(api: Api) -> None:
    token = (await api.sign_in())["access_token"]
    query = "from=2026-01-02T01:30:00&to=2026-01-02T04:00:00%2B01:00"
    series = (await api.call("GET", f"/me/stats?{query}", token=token)).json()
    assert (series["start"], series["end"]) == ("2026-01-02T01:00:00Z", "2026-01-02T03:00:00Z")


async def test_ones_own_figures_are_those_of_all_nodes_the_retired_too(api: Api) -> None:
    session = await api.sign_in()
    first, second = await node_of(api, session), await node_of(api, session)
    await stay(api, first, 60)
    await stay(api, second, 90)
    await stay(api, await node_of(api, await api.sign_in("bob@example.com")), 600)
    await api.house.nodes.retire(first.user_id, first.node_id)
    series = (await api.call("GET", "/me/stats", token=session["access_token"])).json()
    assert series["seconds"] == 150


async def test_an_answer_that_the_client_has_is_not_sent_again(api: Api) -> None:
    session = await api.sign_in()
    node = await node_of(api, session)
    path = f"/nodes/{node.node_id}/stats?from=2026-01-01T00:00:00Z&to=2026-01-02T04:00:00Z"
    token = session["access_token"]
    first = await api.call("GET", path, token=token)
    assert first.headers["cache-control"] == "private, no-cache"
    condition = {"If-None-Match": first.headers["etag"]}
    assert (await api.call("GET", path, token=token, headers=condition)).status_code == 304
    await stay(api, node, 60)
    assert (await api.call("GET", path, token=token, headers=condition)).status_code == 200


async def test_stays_come_page_by_page_the_newest_first(api: Api) -> None:
    node = await node_of(api, await api.sign_in())
    connections = []
    for _ in range(3):
        connections.append(str(await stay(api, node, 60)))
        api.house.clock.advance(timedelta(hours=1))
    token, path = (await api.sign_in())["access_token"], f"/nodes/{node.node_id}/sessions"
    first = (await api.call("GET", f"{path}?limit=2", token=token)).json()
    rest = (await api.call("GET", f"{path}?limit=2&cursor={first['next_cursor']}", token=token)).json()
    found = first["items"] + rest["items"]
    assert [each["session_id"] for each in found] == connections[::-1]
    assert rest["next_cursor"] is None
    assert (found[0]["code"], found[0]["country"], found[0]["address"]) == (1000, "DE", "198.51.100.7")


@pytest.mark.parametrize("what", ["stats", "sessions"])
async def test_what_was_measured_of_somebody_elses_node_is_not_told(api: Api, what: str) -> None:
    node = await node_of(api, await api.sign_in())
    stranger = (await api.sign_in("bob@example.com"))["access_token"]
    answer = await api.call("GET", f"/nodes/{node.node_id}/{what}", token=stranger)
    assert (answer.status_code, answer.json()["code"]) == (404, "node_not_found")


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("from=2026-01-02T04:00:00Z&to=2026-01-02T04:00:00Z", "range_invalid", None),
        ("to=0001-01-01T00:00:00Z", "range_invalid", None),
        ("from=0001-01-01T00:00:00%2B23:59", "range_invalid", None),
        ("from=2025-12-01T00:00:00Z&step=minute", "range_too_long", None),
        ("from=2025-11-01T00:00:00Z&to=2025-11-02T00:00:00Z", "range_too_old", None),
        ("from=yesterday", "invalid_input", "from"),
        ("to=x", "invalid_input", "to"),
        ("step=week", "invalid_input", "step"),
    ],
)
async def test_a_range_that_cannot_be_is_refused(api: Api, query: str, code: str, field: str | None) -> None:
    token = (await api.sign_in())["access_token"]
    answer = await api.call("GET", f"/me/stats?{query}", token=token)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json().get("field") == field


async def test_everybody_sees_countries_and_nobody_addresses(api: Api) -> None:
    session = await api.sign_in()
    await stay(api, await node_of(api, session), 60)
    await stay(api, await node_of(api, session), 90, Place())
    answer = await api.call("GET", "/network/countries")
    assert answer.headers["cache-control"] == "public, max-age=10"
    assert [(each["country"], each["nodes"], each["seconds"]) for each in answer.json()["items"]] == [
        ("DE", 1, 60),
        (None, 1, 90),
    ]
    assert "198.51" not in answer.text
    condition = {"If-None-Match": answer.headers["etag"]}
    assert (await api.call("GET", "/network/countries", headers=condition)).status_code == 304


async def test_a_series_of_the_network_is_of_all_or_of_one_country(api: Api) -> None:
    session = await api.sign_in()
    await stay(api, await node_of(api, session), 60)
    await stay(api, await node_of(api, session), 90, Place())
    seconds = {}
    for country in ("", "?country=DE", "?country=unknown", "?country=FR"):
        points = (await api.call("GET", f"/network/series{country}")).json()["points"]
        seconds[country] = [point["seconds"] for point in points if point["seconds"] is not None]
    assert seconds == {"": [150], "?country=DE": [60], "?country=unknown": [90], "?country=FR": []}


@pytest.mark.parametrize("country", ["de", "DEU", "D", "%00", "DE%0A"])
async def test_what_is_no_code_of_a_country_is_refused(api: Api, country: str) -> None:
    answer = await api.call("GET", f"/network/series?country={country}")
    assert (answer.status_code, answer.json()["field"]) == (400, "country")

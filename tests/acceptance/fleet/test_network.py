"""The live numbers of the whole network: the same for every viewer, computed once for all of them."""

import asyncio
import random

import pytest
from support.fleet.cluster import Cluster
from support.fleet.line import now_ms
from support.fleet.node import FleetNode
from support.fleet.watch import Feed
from support.waiting import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

# Seconds within which a change reaches every viewer.
BAR = 2.0
# So many turns have something new.
LEAST = 3
ADDRESSES = ["5.10.200.1", "5.10.201.1", "5.11.200.1", "45.83.91.20", "9.9.9.9"]
COUNTRIES = {"DE": 2, "FR": 1, "JP": 1, None: 1}


async def test_viewers_at_all_workers_see_the_same_numbers_published_once(cluster: Cluster) -> None:
    await cluster.ensure_workers("a", "c")
    owner = await cluster.owner("crowd")
    rng = random.Random(5)
    timeout = cluster.config.network.challenge_timeout
    nodes = [FleetNode("counted", address, rng, challenge_timeout=timeout) for address in ADDRESSES]
    for node in nodes:
        await node.enrol(owner)
    feeds = [await Feed.open(cluster.port(worker), owner) for worker in ("a", "a", "c")]
    began = now_ms()

    async def shown(counts: dict[str | None, int]) -> float:
        """Wait until every viewer sees so many nodes online; returns the greatest delay in seconds."""
        since = now_ms()

        async def everywhere() -> bool:
            return all(feed.news and _by_country(feed) == counts for feed in feeds)

        await eventually(everywhere)
        return (now_ms() - since) / 1000

    lines = []
    for number, node in enumerate(nodes):
        lines.append(await node.connect(cluster.port("ac"[number % 2])))
    assert await shown(COUNTRIES) <= BAR
    assert all(feed.news[-1].data["nodes_online"] == len(nodes) for feed in feeds)

    async def goes_on() -> bool:
        """Their time is confirmed all the while, so there is something new again and again."""
        return all(sum(each.kind == "event" for each in feed.news) >= LEAST for feed in feeds)

    await eventually(goes_on)
    await asyncio.gather(*(line.leave() for line in lines))
    assert await shown({}) <= BAR
    await cluster.caught_up()

    async def all_arrived() -> bool:
        published = [(each.offset, each.data) for each in await cluster.published("network")]
        events = [[(each.offset, each.data) for each in feed.news if each.kind == "event"] for feed in feeds]
        return all(seen and seen == published[-len(seen) :] for seen in events)

    await eventually(all_arrived)
    turns = (now_ms() - began) / 1000 / cluster.config.network.summary_interval
    for feed in feeds:
        assert sum(each.kind == "event" for each in feed.news) <= turns + 2
        await feed.close()


def _by_country(feed: Feed) -> dict[str | None, int]:
    return {each["country"]: each["nodes_online"] for each in feed.news[-1].data["countries"]}

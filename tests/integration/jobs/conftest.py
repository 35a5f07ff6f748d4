"""The jobs on real servers that a test may stop and break, and workers that tell of nodes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from support.servers import Databases
from support.stores import Stores, postgres_stores
from support.waiting import eventually

from core.clock import SystemClock, new_id
from core.errors import StorageUnavailable
from core.jobs import Jobs, Overviews, Settling
from services.earnings import Earnings
from services.events import INGEST_STREAM, Envelope, Events, decode_envelope, worker_stream
from services.networks import Networks
from services.tokens import Tokens
from storage.base import Batch, Opened, Place, Process, Record, Report
from storage.embedded import EmbeddedValkey
from storage.postgres import Pool, PostgresLock, connect
from storage.redis import RedisPresence, RedisStreams
from storage.redis import connect as connect_redis

LONG_MS = 600_000


class Site:
    """Stores on real servers, jobs that can be killed, and one worker's observations of one node."""

    def __init__(self, dsn: str, pool: Pool, redis: Redis, redis_url: str) -> None:
        self.dsn = dsn
        self.redis_url = redis_url
        self.pool = pool
        self.redis = redis
        self.stores: Stores = postgres_stores(pool)
        self.streams = RedisStreams(redis, "site")
        self.presence = RedisPresence(redis, "site")
        self.clock = SystemClock()
        self.events = Events(self.streams, self.presence, 1000)
        self.user_id = self.node_id = self.connection = new_id()
        self._sequence = 0
        # Within an hour that is over, so that none ends while the test runs.
        self._hour = self.clock.now_ms() // 3_600_000 - 2
        self._second = 0

    async def settle(self) -> None:
        """Add a person with a node, who looks at a page at worker "w"."""
        self.user_id = await self.stores.add_user()
        self.node_id = await self.stores.add_node(self.user_id)
        await self.announce()

    async def announce(self) -> None:
        """Worker "w" is alive and holds the person."""
        process = Process(kind="worker", process_id="w", admin_url="", metrics={})
        await self.presence.renew(process, LONG_MS)
        await self.presence.hold("w", [self.user_id], LONG_MS)

    async def opened(self) -> None:
        """The node's connection opens."""
        await self.append(Opened(self.node_id, self.connection, self._hour * 3_600_000, "198.51.100.7"))

    async def second(self) -> None:
        """The node is confirmed for one more second."""
        start = self._second
        self._second += 1
        at_s = self._hour * 3600 + self._second
        await self.append(
            Report(self.node_id, self.connection, self._hour, start, start + 1, at_s, bytes_up=1)
        )

    async def append(self, *records: Record, until_ms: int = 0) -> None:
        """As a worker does: until it is known to be there, under the same number."""
        self._sequence += 1
        payload = msgspec.msgpack.encode(Batch("w", self._sequence, list(records), until_ms))
        while True:
            try:
                await self.streams.append(INGEST_STREAM, payload, 100_000)
                return
            except StorageUnavailable:
                await asyncio.sleep(0.02)

    def jobs(self) -> Jobs:
        """One more jobs process."""
        earnings = Earnings(
            figures=self.stores.figures,
            ledger=self.stores.ledger,
            epochs=self.stores.epochs,
            users=self.stores.users,
            clock=self.clock,
            settling=0,
        )
        tokens = Tokens("s" * 32, self.clock, 600, 3600)
        return Jobs(
            lock=PostgresLock(self.dsn, "site", timeout=5.0, interval=0.02),
            streams=self.streams,
            presence=self.presence,
            uptime=self.stores.uptime,
            overviews=Overviews(earnings, self.events, self.presence, 0.1),
            settling=Settling(self.stores.uptime, self.streams, self.clock),
            networks=Networks(self.stores.nodes, self.stores.uptime, self.stores.abuse, tokens, self.clock),
            events=self.events,
            locate=lambda address: Place(country="NL"),
            clock=self.clock,
            process_id=str(new_id()),
            lease=60.0,
            summary_interval=0.1,
            lock_check_interval=0.1,
        )

    async def confirmed(self) -> tuple[int, int]:
        """The seconds and the bytes that are stored of the node."""
        row = await self.pool.fetchrow(
            "SELECT confirmed_s, session_up FROM node_state WHERE node_id = $1", self.node_id
        )
        return row["confirmed_s"], row["session_up"]

    async def drained(self, timeout: float = 30.0) -> None:
        """Wait until nothing is left to take in."""

        async def empty() -> bool:
            try:
                return (await self.streams.backlog(INGEST_STREAM)).entries == 0
            except StorageUnavailable:
                return False

        await eventually(empty, timeout)

    async def told(self, seconds: int) -> Envelope:
        """The first event to worker "w" that the node has so many seconds or more: some are told together."""
        position = "0-0"
        while True:
            found = await self.streams.read({worker_stream("w"): position}, 100, 1000)
            for _, entry, payload in found:
                position = entry
                envelope = decode_envelope(payload)
                if envelope.data["confirmed_seconds"] >= seconds:
                    return envelope


class Killable:
    """Jobs that run until they are killed."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._task = asyncio.create_task(jobs.run())

    async def kill(self) -> None:
        """End it wherever it is."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A server of the test's own."""
    server = EmbeddedValkey(tmp_path / "data")
    yield server
    await server.stop()


@pytest.fixture
async def site(databases: Databases, valkey: EmbeddedValkey) -> AsyncIterator[Site]:
    """A person with a node, on servers of the test's own."""
    url = await valkey.start()
    redis = await connect_redis(url, 2.0)
    dsn = await databases.create()
    pool = await connect(dsn)
    site = Site(dsn, pool, redis, url)
    await site.settle()
    yield site
    await pool.close()
    await redis.aclose()
    await databases.drop(dsn)


@pytest.fixture
async def run(site: Site) -> AsyncIterator[Callable[[], Killable]]:
    """Starts one more jobs process; those that still run in the end are ended."""
    running: list[Killable] = []

    def start() -> Killable:
        running.append(Killable(site.jobs()))
        return running[-1]

    yield start
    for each in running:
        await each.kill()

"""A small cluster in memory, whose servers can be switched off."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core.clock import ManualClock, new_id, to_ms
from core.errors import StorageUnavailable
from core.jobs import Jobs, Overviews, Settling
from services.earnings import Earnings
from services.events import (
    GLOBAL_STREAM,
    INGEST_STREAM,
    Events,
    decode_envelope,
    worker_stream,
)
from services.networks import Networks
from services.tokens import Tokens
from storage.base import Batch, Node, Opened, Place, Process, Report, User
from storage.memory import (
    MemoryAbuse,
    MemoryDatabase,
    MemoryEpochs,
    MemoryFigures,
    MemoryLedger,
    MemoryLock,
    MemoryNodes,
    MemoryPresence,
    MemoryStreams,
    MemoryUptime,
    MemoryUsers,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


class Switch:
    """Passes calls on to a store; `off` names the methods that fail, "*" all of them."""

    def __init__(self, store):
        self._store = store
        self.off = set()
        self.refused = asyncio.Event()

    def __getattr__(self, name):
        method = getattr(self._store, name)

        async def call(*args, **kwargs):
            if "*" in self.off or name in self.off:
                self.refused.set()
                raise StorageUnavailable("switched off")
            return await method(*args, **kwargs)

        return call


class Cluster:
    """The stores, the services and what was published."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.database = MemoryDatabase()
        self.presence_ms = 0
        self.memory_presence = MemoryPresence(lambda: self.presence_ms)
        self.streams = Switch(MemoryStreams())
        self.presence = Switch(self.memory_presence)
        self.uptime = Switch(MemoryUptime(self.database))
        self.nodes = Switch(MemoryNodes(self.database))
        self.users = MemoryUsers(self.database)
        self.mutex = asyncio.Lock()
        tokens = Tokens("s" * 32, self.clock, 600, 3600)
        self.ledger = MemoryLedger(self.database)
        self.epochs = MemoryEpochs(self.database)
        self.figures = Switch(MemoryFigures(self.database))
        self.earnings = Earnings(
            figures=self.figures,
            ledger=self.ledger,
            epochs=self.epochs,
            users=self.users,
            clock=self.clock,
            settling=0,
        )
        self.networks = Networks(self.nodes, self.uptime, MemoryAbuse(self.database), tokens, self.clock)
        self.events = Events(self.streams, self.presence, 1000)
        self.settling = Settling(self.uptime, self.streams, self.clock)
        self.located = []

    def locate(self, address):
        self.located.append(address)
        return Place(country="NL")

    def overviews(self, interval=0.01):
        return Overviews(self.earnings, self.events, self.presence, interval)

    def jobs(self, process_id="jobs-1", lock=None, **options):
        defaults = {
            "lease": 0.05,
            "summary_interval": 0.01,
            "lock_check_interval": 0.01,
            "workers_interval": 0.01,
        }
        return Jobs(
            lock=lock or MemoryLock(self.mutex),
            streams=self.streams,
            presence=self.presence,
            uptime=self.uptime,
            overviews=self.overviews(),
            settling=self.settling,
            networks=self.networks,
            events=self.events,
            locate=self.locate,
            clock=self.clock,
            process_id=process_id,
            **(defaults | options),
        )

    async def add_node(self, worker="w1"):
        """A user with one node, whose page is open at `worker`; at None it is open nowhere."""
        user_id, node_id = new_id(), new_id()
        await self.users.add(
            User(
                user_id=user_id,
                email=f"{user_id.hex}@pulseboard.example",
                display_name="somebody",
                password_hash="-",
                created_at=START,
            )
        )
        await self.nodes.enrol(
            Node(
                user_id=user_id,
                node_id=node_id,
                public_key=node_id.bytes + bytes(16),
                name="laptop",
                created_at=START,
            )
        )
        await self.announce(worker or "w1")
        if worker:
            await self.presence.hold(worker, [user_id], 1 << 40)
        return user_id, node_id

    async def announce(self, worker, kind="worker", lease_ms=1 << 40):
        process = Process(kind=kind, process_id=worker, admin_url="", metrics={})
        await self.memory_presence.renew(process, lease_ms)

    async def append(self, batch):
        return await self.streams.append(INGEST_STREAM, msgspec.msgpack.encode(batch))

    def opened(self, node_id, *, worker="w1", sequence=1, connection=None, seconds=0):
        """A batch in which the node came, and was confirmed for a while."""
        now_ms = to_ms(self.clock.now())
        connection = connection or new_id()
        records = [Opened(node_id, connection, now_ms, "198.51.100.1")]
        if seconds:
            records.append(self.report(node_id, connection, seconds))
        self.clock.advance(timedelta(milliseconds=1))
        return Batch(worker, sequence, records)

    def report(self, node_id, connection, seconds, **changes):
        """A report of the seconds since the clock's present one."""
        hour, start = divmod(to_ms(self.clock.now()) // 1000, 3600)
        facts = {"hour": hour, "start": start, "end": start + seconds, "at_s": hour * 3600 + start}
        return Report(node_id, connection, **(facts | changes))

    async def confirmed(self, user_id):
        """The seconds that count for the node of a user."""
        totals = await self.uptime.totals([user_id])
        return totals[user_id].nodes[0].confirmed_seconds

    async def entries(self):
        """What is left in the ingest stream."""
        return await self.streams.read({INGEST_STREAM: "0-0"}, 1000, 0)


class Inbox:
    """Follows what is published on one stream."""

    def __init__(self, cluster, stream):
        self._cluster = cluster
        self._stream = stream
        self._position = "0-0"
        self._waiting = []

    async def next(self, timeout=5.0):
        """The next envelope."""
        async with asyncio.timeout(timeout):
            while not self._waiting:
                found = await self._cluster.streams.read({self._stream: self._position}, 100, 1000)
                for _, entry, payload in found:
                    self._position = entry
                    self._waiting.append(decode_envelope(payload))
        return self._waiting.pop(0)

    async def until(self, wanted, timeout=5.0):
        """The next envelope for which `wanted` holds."""
        async with asyncio.timeout(timeout):
            while not wanted(envelope := await self.next()):
                pass
        return envelope

    async def shows(self, **figures):
        """The next overview with these figures."""
        return await self.until(
            lambda envelope: all(envelope.data[name] == figure for name, figure in figures.items())
        )


class Running:
    """Runs `Jobs` for the length of a test."""

    def __init__(self, jobs):
        self.jobs = jobs
        self._task = asyncio.create_task(jobs.run())

    async def leading(self, timeout=5.0):
        async with asyncio.timeout(timeout):
            await self.jobs.leading.wait()
        return self

    async def crash(self):
        """End as if killed: nothing is finished. (The lock goes, as with a connection.)"""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def cluster():
    return Cluster()


@pytest.fixture
async def run():
    running = []

    def start(jobs):
        running.append(Running(jobs))
        return running[-1]

    yield start
    for item in running:
        await item.crash()


@pytest.fixture
def me(cluster):
    return Inbox(cluster, worker_stream("w1"))


@pytest.fixture
def everybody(cluster):
    return Inbox(cluster, GLOBAL_STREAM)


@pytest.fixture
def until():
    async def wait(ask, wanted, timeout=5.0):
        """Ask again and again, for as long as other tasks have something to do, until it is `wanted`."""
        async with asyncio.timeout(timeout):
            while not wanted(await ask()):  # noqa: ASYNC110 - stores announce nothing
                await asyncio.sleep(0.001)

    return wait

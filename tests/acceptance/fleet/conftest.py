"""A cluster, and two runs of a fleet on it: one in peace, one through faults."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any

import pytest
from support.fleet.casts import calm, stormy
from support.fleet.cluster import Cluster
from support.fleet.patience import PATIENCE, waiting_for
from support.fleet.play import Run
from support.fleet.stage import Stage
from support.websocket import Socket

# The seconds that PostgreSQL is away in the run with faults; `make fleet OUTAGE=60` for longer.
OUTAGE = float(os.environ.get("PULSEBOARD_FLEET_OUTAGE", "10"))
SEED = int(os.environ.get("PULSEBOARD_FLEET_SEED", str(random.SystemRandom().randrange(1 << 31))))
WORKERS = ("a", "b", "c")
CALM = 16.0
# When what happens in the run with faults, in seconds since its beginning.
KILL = 7.0
REDIS_AWAY, REDIS_OUTAGE = 13.0, 2.5
POSTGRES_AWAY = 18.0
POSTGRES_BACK = POSTGRES_AWAY + OUTAGE
DRAIN = POSTGRES_BACK + 2.0
STORM = DRAIN + 13.0
# When the jobs process that leads is killed: at rest, beside the other faults, and while things catch up.
JOBS_KILLED = (2.0, 12.5, 15.0, POSTGRES_AWAY - 1.0, POSTGRES_BACK + 0.5, DRAIN + 1.0, DRAIN + 6.0)


class Runs:
    """Plays each run once, when it is asked for first."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._playing: dict[str, asyncio.Task[Run]] = {}

    async def get(self, name: str) -> Run:
        """The run "peace" or "storm", played."""
        if name not in self._playing:
            play: dict[str, Callable[[], Coroutine[Any, Any, Run]]] = {
                "peace": self._peace,
                "storm": self._storm,
            }
            self._playing[name] = asyncio.create_task(play[name]())
        return await self._playing[name]

    async def _peace(self) -> Run:
        await self._cluster.ensure_workers(*WORKERS)
        window = self._cluster.config.network.resume_window
        run = Run("peace", SEED, self._cluster, calm(CALM, window), "5.10")
        await run.play(CALM)
        return run

    async def _storm(self) -> Run:
        await self._cluster.ensure_workers(*WORKERS)
        window, lease = self._cluster.config.network.resume_window, self._cluster.config.admin.lease
        run = Run("storm", SEED, self._cluster, stormy(STORM, window, lease, DRAIN), "5.11")
        await run.play(STORM, _faults)
        return run


CLUSTER = pytest.StashKey[Cluster]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells how the processes are."""
    report = yield
    if report.failed and CLUSTER in item.config.stash:
        report.sections.append(("processes", item.config.stash[CLUSTER].state()))
    return report


@pytest.fixture(scope="session")
async def cluster(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[Cluster]:
    """Three workers and what belongs to them."""
    cluster = await Cluster.start(tmp_path_factory.mktemp("cluster"), *WORKERS)
    pytestconfig.stash[CLUSTER] = cluster
    yield cluster
    del pytestconfig.stash[CLUSTER]
    async with waiting_for("sockets that a test left open", PATIENCE):
        await Socket.leave_all()
    assert set(await cluster.stop()) == {0}


@pytest.fixture(scope="session")
async def runs(cluster: Cluster) -> Runs:
    """The runs on it."""
    return Runs(cluster)


@pytest.fixture
async def peace(runs: Runs) -> Run:
    """A fleet played, and nothing happened but what it did itself."""
    return await runs.get("peace")


@pytest.fixture
async def storm(runs: Runs) -> Run:
    """Another one played while workers, jobs, Redis and PostgreSQL died."""
    return await runs.get("storm")


@pytest.fixture(params=["peace", "storm"])
async def run(request: pytest.FixtureRequest, runs: Runs) -> Run:
    """Each of both."""
    return await runs.get(request.param)


async def _faults(stage: Stage) -> None:
    cluster = stage.cluster

    async def servers_and_workers() -> None:
        await stage.at(KILL)
        await stage.kill_worker("b")
        await stage.at(REDIS_AWAY)
        await cluster.restart_redis(REDIS_OUTAGE)
        await stage.at(POSTGRES_AWAY)
        await cluster.restart_postgres(OUTAGE)
        await stage.at(DRAIN)
        await stage.drain_worker("c")

    async def jobs() -> None:
        for moment in JOBS_KILLED:
            await stage.at(moment)
            await cluster.kill_leader()

    async with asyncio.TaskGroup() as faults:
        faults.create_task(servers_and_workers())
        faults.create_task(jobs())

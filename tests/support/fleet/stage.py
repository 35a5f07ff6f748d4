"""Where and when a fleet plays: the cluster, the time since the beginning, and the faults."""

import asyncio
from collections.abc import Sequence

from support.fleet.cluster import Cluster
from support.fleet.line import Line, now_ms
from support.fleet.node import FleetNode
from support.fleet.patience import PATIENCE


class Stage:
    """A run of a fleet on `cluster`, of `length` seconds.

    Roles and faults keep to its schedule: `at` waits for a time of it.
    """

    def __init__(self, cluster: Cluster, nodes: Sequence[FleetNode], length: float) -> None:
        self.cluster = cluster
        self.nodes = nodes
        self.length = length
        network = cluster.config.network
        self.window = network.resume_window
        self.timeout = network.challenge_timeout
        # What a worker has seen reaches the stream within a report and a flush, if the machine keeps up.
        self._kept_ms = round((network.report_interval + network.flush_interval + 0.5) * 1000)
        # After two leases of silence, and one more if who looks has only begun to; twice that, to be sure.
        self._noticed_ms = round(cluster.config.admin.lease * 6000)
        self._began = asyncio.get_running_loop().time()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return asyncio.get_running_loop().time() - self._began

    @property
    def rest(self) -> float:
        """Seconds within which all that is to happen has happened."""
        return max(0.0, self.length - self.elapsed) + PATIENCE

    async def at(self, seconds: float) -> None:
        """Wait until that many seconds have passed since the beginning."""
        await asyncio.sleep(max(0.0, seconds - self.elapsed))

    async def curtain(self) -> None:
        """Wait for the end."""
        await self.at(self.length)

    def port(self, worker: str) -> int:
        """Where a worker listens."""
        return self.cluster.port(worker)

    def lines_on(self, worker: str) -> list[Line]:
        """The open connections to a worker."""
        worker_id = self.cluster.ids[worker]
        return [
            line
            for node in self.nodes
            for line in node.lines
            if line.is_open and line.link.worker == worker_id
        ]

    async def kill_worker(self, name: str) -> None:
        """End a worker without a warning, and note what only it knew."""
        killed = now_ms()
        for line in self.lines_on(name):
            line.link.ours, line.link.kept_until = True, killed - self._kept_ms
            line.noticed_by = killed + self._noticed_ms
        await self.cluster.kill_worker(name)

    async def drain_worker(self, name: str) -> None:
        """Ask a worker to end, and wait until it has."""
        for line in self.lines_on(name):
            line.link.ours = True
        await self.cluster.drain_worker(name)

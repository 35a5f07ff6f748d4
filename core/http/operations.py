"""Health and metrics, for load balancers and operators."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from litestar import Response, Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from core.errors import Refusal
from core.http.openapi import fails
from core.http.permissions import may
from core.logs import get_logger
from core.metrics import PROMETHEUS_CONTENT_TYPE, Metrics, Source, to_prometheus, total
from storage.base import Presence, Process

CHECK_TIMEOUT = 2.0
KINDS = ("worker", "api", "jobs")

Check = Callable[[], Awaitable[Any]]

log = get_logger("http")


class NotReady(Refusal):
    """This process should get no requests now."""

    status: ClassVar[int] = 503


class Health(Struct):
    """The process lives; when asked for readiness, what it depends on answers."""

    status: str
    checks: dict[str, str] = {}


class ClusterMetrics(Struct):
    """Every living process with its last metrics, and their sums by kind."""

    processes: list[Process]
    totals: dict[str, Metrics]
    schema: int = 1


class Operations:
    """How this process and the cluster do."""

    def __init__(
        self, checks: Mapping[str, Check], presence: Presence, source: Source, draining: asyncio.Event
    ) -> None:
        """`checks` are calls that raise when what they ask does not answer."""
        self._checks = checks
        self._presence = presence
        self._source = source
        self._draining = draining

    async def ready(self) -> Health:
        """That this process can serve.

        Raises:
            NotReady: with the outcome of every check as `checks`.
        """
        if self._draining.is_set():
            raise NotReady("draining", "This process is about to stop.")
        outcomes = await asyncio.gather(*(self._run(name, check) for name, check in self._checks.items()))
        checks = dict(zip(self._checks, outcomes, strict=True))
        if any(outcome != "ok" for outcome in outcomes):
            raise NotReady("not_ready", "A server behind this one does not answer.", checks=checks)
        return Health("ready", checks)

    def metrics(self) -> Metrics:
        """This process's metrics."""
        return self._source()

    async def cluster(self) -> ClusterMetrics:
        """All processes and their sums."""
        processes = await self._presence.processes()
        totals = {kind: total(p.metrics for p in processes if p.kind == kind) for kind in KINDS}
        return ClusterMetrics(processes, totals)

    async def _run(self, name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await check()
        except Exception as error:  # whatever it is, the answer is "not ready", and the log says why
            log.warning("not ready", check=name, reason=repr(error))
            return "unavailable"
        return "ok"


@get("/healthz", opt=may("anyone"))
async def healthz() -> Health:
    """Whether the process lives."""
    return Health("ok")


@get("/readyz", opt=may("anyone"), responses=fails())
async def readyz(operations: NamedDependency[Operations]) -> Health:
    """Whether the process should get requests: PostgreSQL and Redis answer and it is not draining."""
    return await operations.ready()


@get("/metrics", opt=may("anyone"), media_type=PROMETHEUS_CONTENT_TYPE)
async def metrics(operations: NamedDependency[Operations]) -> Response[bytes]:
    """This process, for Prometheus."""
    return Response(to_prometheus(operations.metrics()), media_type=PROMETHEUS_CONTENT_TYPE)


@get("/metrics.json", opt=may("anyone"), responses=fails())
async def metrics_json(operations: NamedDependency[Operations]) -> ClusterMetrics:
    """The whole cluster."""
    return await operations.cluster()


operations_router = Router("/", route_handlers=[healthz, readyz, metrics, metrics_json], tags=["operations"])

"""A whole system in processes of its own, of which every part can be killed and brought back."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import asyncpg
import httpx
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from support.fleet.node import Owner
from support.fleet.patience import waiting_for
from support.servers import FAST_SETTINGS
from support.system import Command
from support.waiting import eventually
from support.workers import SECRET, WorkerProcess

from core.bootstrap import ensure_user, migrate
from core.config import Config, load
from services.events import GLOBAL_STREAM, INGEST_STREAM, Envelope, decode_envelope
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.redis import RedisStreams, connect

READY = r'"event": ?"ready"'
# Seconds in which a process starts on a busy machine once the servers are there, and a query ends.
STARTED = 30.0
FETCHED = 30.0
# The last lines of each process that a failure shows.
LAST_LINES = 8
PASSWORD = "correct horse battery"
# What is committed must outlive the server's being killed; the machine goes on.
SETTINGS = {"fsync": FAST_SETTINGS["fsync"]}
# Everything happens often and ends soon. Times are in seconds.
QUICK = {
    "PULSEBOARD_NETWORK_CHALLENGE_INTERVAL": "1.0",
    "PULSEBOARD_NETWORK_CHALLENGE_TIMEOUT": "1.25",
    "PULSEBOARD_NETWORK_REPORT_INTERVAL": "1.0",
    "PULSEBOARD_NETWORK_FLUSH_INTERVAL": "0.1",
    "PULSEBOARD_NETWORK_RESUME_WINDOW": "7.0",
    "PULSEBOARD_NETWORK_SUMMARY_INTERVAL": "0.5",
    "PULSEBOARD_NETWORK_SCORE_INTERVAL": "2.0",
    "PULSEBOARD_NETWORK_RULES_INTERVAL": "1.0",
    "PULSEBOARD_ADMIN_LEASE": "1.5",
    "PULSEBOARD_WS_PING_INTERVAL": "2.0",
    "PULSEBOARD_WS_PONG_TIMEOUT": "2.0",
    "PULSEBOARD_WS_DRAIN_TIMEOUT": "4.0",
    "PULSEBOARD_REDIS_TIMEOUT": "1.0",
    "PULSEBOARD_DATABASE_CONNECT_TIMEOUT": "2.0",
    "PULSEBOARD_HTTP_RATE": "0",
    "PULSEBOARD_HTTP_TRUSTED_PROXIES": "127.0.0.0/8",
    "PULSEBOARD_AUTH_ARGON2_MEMORY": "8",
    "PULSEBOARD_AUTH_ARGON2_TIME": "1",
}
# Where the addresses of fleets are. Others are nowhere.
PLACES = {
    "5.10.0.0/16": ("DE", 52.52, 13.41),
    "5.11.0.0/16": ("FR", 48.86, 2.35),
    "45.83.91.0/24": ("JP", 35.68, 139.69),
}
# How operators set the rules and the formula so that a run of some seconds is enough to be judged by.
RULES = {
    "two_places": {"grace": 3},
    "failing_challenges": {"refused": 8, "percent": 60},
}
FORMULA = {"settle_seconds": 0, "least_window_seconds": 1, "least_samples": 3, "least_challenges": 3}


class Cluster:
    """PostgreSQL, Valkey, workers by name, one API process, and two jobs processes of which one leads."""

    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(folder, settings=SETTINGS)
        self.valkey = EmbeddedValkey(folder)
        self.workers: dict[str, WorkerProcess] = {}
        self.ids: dict[str, str] = {}
        self.killed_jobs = 0
        self._jobs: list[Command] = []
        # How many servers are away, and when the last of them was back, on the clock of the event loop.
        self._away = 0
        self._back_at = 0.0
        self._api: Command | None = None
        self._clients: list[httpx.AsyncClient] = []
        self._environ: dict[str, str] = {}
        self._dsn = ""
        self._folder = folder
        self._operator: Owner | None = None

    @classmethod
    async def start(cls, folder: Path, *workers: str) -> Self:
        """Bring everything up and wait until it is ready."""
        cluster = cls(folder)
        try:
            await cluster._start(workers)
        except BaseException:
            await cluster.stop()
            raise
        return cluster

    async def _start(self, workers: tuple[str, ...]) -> None:
        self._dsn, url = await asyncio.gather(self.postgres.start(), self.valkey.start())
        servers = {
            "PULSEBOARD_DATABASE_DSN": self._dsn,
            "PULSEBOARD_REDIS_URL": url,
            "PULSEBOARD_AUTH_SECRET": SECRET,
            "PULSEBOARD_NETWORK_PLACES_FILE": str(_places_file(self._folder / "places.mmdb")),
        }
        self._environ = {**QUICK, **servers}
        await migrate(self.config)
        async with asyncio.TaskGroup() as starting:
            starting.create_task(self._start_api())
            for name in workers:
                starting.create_task(self.add_worker(name))
            for _ in range(2):
                starting.create_task(self.add_jobs())
        self._operator = await self.owner("operator", "operator")
        await self._set_rules()

    async def _start_api(self) -> None:
        self._api = api = await Command.start("api", "--port", "0", environ=self._environ)
        async with waiting_for(lambda: f"the API's start: {_told(api)}"):
            address = await api.printed(r'"url": ?"([^"]+)", ?"event": ?"listening"')
        self._clients.append(httpx.AsyncClient(base_url=address[1], timeout=10, trust_env=False))

    async def stop(self) -> list[int]:
        """End everything; returns the exit codes of what was not killed."""
        for client in self._clients:
            await client.aclose()
        running = [*self._jobs, *filter(None, [self._api])]
        ended = [command.stop() for command in running] + [worker.stop() for worker in self.workers.values()]
        async with waiting_for(lambda: f"the end of all processes:\n{self.state()}"):
            codes = await asyncio.gather(*ended)
        await asyncio.gather(self.postgres.stop(), self.valkey.stop())
        return codes

    def state(self) -> str:
        """How all processes are, with the last lines of each; for a failure's message."""
        commands = {f"worker {name}": worker.command for name, worker in self.workers.items()}
        commands |= {f"jobs {number}": command for number, command in enumerate(self._jobs)}
        commands |= {"API": self._api} if self._api else {}
        told = [f"{name}: {_told(command)}" for name, command in commands.items()]
        for name, server in (("PostgreSQL", self.postgres), ("Valkey", self.valkey)):
            lines = server.log.read_text(errors="replace").splitlines() if server.log.exists() else []
            told.append(f"{name}: process {server.pid}\n{_last(lines)}")
        return "\n".join(told)

    @property
    def config(self) -> Config:
        """The configuration of all processes."""
        return load(environ=self._environ)

    @property
    def api(self) -> httpx.AsyncClient:
        """A client of the API."""
        return self._clients[0]

    async def _set_rules(self) -> None:
        for rule in (await self.operator.get("/admin/abuse/rules"))["items"]:
            if rule["name"] in RULES:
                parameters = {each["name"]: each["value"] for each in rule["parameters"]}
                change = {key: rule[key] for key in ("version", "enabled", "action", "gate", "clear_after")}
                change["parameters"] = parameters | RULES[rule["name"]]
                await self.operator.put(f"/admin/abuse/rules/{rule['name']}", change)
        await self.fetch(
            """
            INSERT INTO score_formula (version, created_at, parameters)
            SELECT 2, now(), parameters || $1::text::jsonb FROM score_formula WHERE version = 1
            """,
            json.dumps(FORMULA),
        )

    # --- people ---------------------------------------------------------------------------------

    @property
    def operator(self) -> Owner:
        """Somebody of the staff."""
        assert self._operator is not None
        return self._operator

    async def owner(self, name: str, role: str = "user") -> Owner:
        """A new person, signed in."""
        email = f"{name}@example.com"
        assert await ensure_user(self.config, email, PASSWORD, name, role)
        body = {"email": email, "password": PASSWORD, "cookie": False}
        answer = (await self.api.post("/api/v1/auth/login", json=body)).raise_for_status().json()
        return Owner(self.api, UUID(answer["user"]["user_id"]), answer["access_token"])

    async def caught_up(self) -> None:
        """Wait until nothing that workers have seen waits anywhere."""
        redis = await connect(self.config.redis.url, timeout=5)
        streams = RedisStreams(redis, self.config.redis.prefix)

        waiting: dict[str, int] = {}

        async def handed_on() -> bool:
            for name, worker in self.workers.items():
                waiting[f"worker {name}"] = (await worker.metrics())["records_waiting"]
            waiting["ingest"] = (await streams.backlog(INGEST_STREAM)).entries
            return not any(waiting.values())

        async def told() -> bool:
            jobs = await self.processes("jobs")
            waiting.clear()
            waiting.update(
                {f"jobs process {pid}": metrics["ingest_waiting"] for pid, metrics in jobs.items()}
            )
            return not any(waiting.values())

        try:
            async with waiting_for(lambda: f"what waits still: {waiting}"):
                await eventually(handed_on, timeout=30)
                await eventually(told, timeout=30)
        finally:
            await redis.aclose()

    async def published(self, channel: str) -> list[Envelope]:
        """What all workers were told on a channel, in order."""
        redis = await connect(self.config.redis.url, timeout=5)
        try:
            streams = RedisStreams(redis, self.config.redis.prefix)
            entries = await streams.read({GLOBAL_STREAM: "0-0"}, count=100_000, block_ms=0)
        finally:
            await redis.aclose()
        envelopes = [decode_envelope(payload) for _, _, payload in entries]
        return [envelope for envelope in envelopes if envelope.channel == channel]

    async def fetch(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """Rows of the database."""
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            async with waiting_for(f"the rows of {query}", FETCHED):
                return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close(timeout=5)

    # --- workers --------------------------------------------------------------------------------

    async def add_worker(self, name: str) -> None:
        """Start a worker on a port of its own."""
        async with waiting_for(f"worker {name} to start"):
            worker = await WorkerProcess.start(self._environ)
            self.workers[name] = worker
            # Its id is in every line that it logs.
            self.ids[name] = (await worker.command.printed(r'"process": ?"(worker-[0-9a-f]+)"'))[1]

    async def ensure_workers(self, *names: str) -> None:
        """Start those of these workers that were ended."""
        for name in names:
            if name not in self.workers:
                await self.add_worker(name)

    def port(self, name: str) -> int:
        """Where a worker listens."""
        return self.workers[name].port

    async def kill_worker(self, name: str) -> None:
        """End a worker without a warning."""
        worker = self.workers.pop(name)
        async with waiting_for(lambda: f"the end of worker {name}, killed: {_told(worker.command)}"):
            await worker.command.stop(signal.SIGKILL)
            await worker.stop()

    async def drain_worker(self, name: str) -> None:
        """Ask a worker to end, and wait until it has."""
        worker = self.workers.pop(name)
        async with waiting_for(lambda: f"the end of worker {name}, drained: {_told(worker.command)}"):
            assert await worker.stop() == 0, _told(worker.command)

    # --- jobs -----------------------------------------------------------------------------------

    async def add_jobs(self) -> None:
        """Start a jobs process; while a server is away none can, and it is tried again.

        Raises:
            AssertionError: the servers are there, and still it ends again and again; with its last words.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                self._jobs.append(await self._start_jobs())
            except AssertionError:
                if not self._away and loop.time() > max(began, self._back_at) + STARTED:
                    raise
            else:
                return

    async def _start_jobs(self) -> Command:
        jobs = await Command.start("jobs", environ=self._environ)
        try:
            async with waiting_for(lambda: f"a jobs process to start: {_told(jobs)}"):
                await jobs.printed(READY)
        except AssertionError:
            async with waiting_for(lambda: f"the end of a jobs process: {_told(jobs)}", STARTED):
                await jobs.process.wait()
            raise
        except BaseException:
            await jobs.stop(signal.SIGKILL)
            raise
        return jobs

    async def kill_leader(self) -> None:
        """End the jobs process that leads without a warning, and start another that waits."""
        leader = await self._leader()
        async with waiting_for(lambda: f"the end of the jobs process that led: {_told(leader)}"):
            await leader.stop(signal.SIGKILL)
        self._jobs.remove(leader)
        self.killed_jobs += 1
        await self.add_jobs()

    async def _leader(self) -> Command:
        found: list[Command] = []

        async def led() -> bool:
            try:
                jobs = await self.processes("jobs")
            except httpx.HTTPError:
                return False  # Redis is away
            pids = [pid for pid, metrics in jobs.items() if metrics["jobs_leading"]]
            found[:] = [command for command in self._jobs if command.process.pid in pids]
            return bool(found)

        async with waiting_for(lambda: f"a jobs process to lead:\n{self.state()}"):
            await eventually(led, timeout=30)
        return found[0]

    async def processes(self, kind: str) -> dict[int, Mapping[str, Any]]:
        """The metrics of the processes of a kind by their ids, as the API tells them."""
        answer = (await self.api.get("/metrics.json")).raise_for_status().json()
        return {int(p["metrics"]["pid"]): p["metrics"] for p in answer["processes"] if p["kind"] == kind}

    # --- servers --------------------------------------------------------------------------------

    async def restart_redis(self, away: float) -> None:
        """Kill Valkey, and start it on its data after `away` seconds."""
        await self._crash(self.valkey, away)

    async def restart_postgres(self, away: float) -> None:
        """Kill PostgreSQL, and start it on its data after `away` seconds."""
        await self._crash(self.postgres, away)

    async def _crash(self, server: EmbeddedPostgres | EmbeddedValkey, away: float) -> None:
        assert server.pid is not None
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGKILL)
        self._away += 1
        await server.stop()
        await asyncio.sleep(away)
        # On the port of before: whoever held connections there finds it again.
        await server.start()
        self._away -= 1
        self._back_at = asyncio.get_running_loop().time()


def _told(command: Command) -> str:
    """Whether a process runs, and its last lines."""
    code = command.process.returncode
    how = "runs" if code is None else f"ended with {code}"
    return f"process {command.process.pid} {how}\n{_last(command.lines)}"


def _last(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])


def _places_file(path: Path) -> Path:
    writer = MMDBWriter(6, "GeoLite2-City", ipv4_compatible=True)
    for network, (country, latitude, longitude) in PLACES.items():
        location = {"latitude": latitude, "longitude": longitude}
        writer.insert_network(IPSet([network]), {"country": {"iso_code": country}, "location": location})
    writer.to_db_file(str(path))
    return path

"""The composition root: the one place where stores, services and processes are put together.

Nothing is built at import. A process is a coroutine here (`run_worker`, `run_api`, `run_jobs`):
it opens its stores, hands them to the services, runs until a signal ends it, and takes everything
down in the opposite order.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from core.clock import SystemClock
from core.config import Config
from core.errors import ConfigError
from core.logs import get_logger
from core.runtime import Reload, Runtime
from core.version import version
from services.earnings import Earnings
from services.events import Events
from services.networks import Networks
from services.passwords import Passwords
from services.tokens import Tokens
from services.users import Users
from storage import postgres
from storage import redis as redis_storage
from storage.base import NodeStore, Presence, SessionStore, StreamLog, UptimeStore, UserStore

SECRET_LENGTH = 32
JOBS_LOCK = "jobs"


class Stores(Struct, frozen=True):
    """The adapters of one process, on the servers that the configuration names."""

    pool: postgres.Pool
    redis: Redis
    users: UserStore
    sessions: SessionStore
    nodes: NodeStore
    uptime: UptimeStore
    streams: StreamLog
    presence: Presence


class Services(Struct, frozen=True):
    """The services of one process."""

    tokens: Tokens
    earnings: Earnings
    networks: Networks
    events: Events


@asynccontextmanager
async def open_stores(config: Config) -> AsyncIterator[Stores]:
    """Connect to PostgreSQL and Redis for the length of the block.

    Raises:
        ConfigError: an address is missing.
        StartupError: a server refuses, or the schema is not this release's.
    """
    async with open_database(config) as pool:
        await postgres.check_schema(pool)
        if not config.redis.url:
            raise ConfigError(_missing("redis.url", "PULSEBOARD_REDIS_URL"))
        redis = await redis_storage.connect(config.redis.url, config.redis.timeout)
        try:
            yield Stores(
                pool,
                redis,
                postgres.PostgresUsers(pool),
                postgres.PostgresSessions(pool),
                postgres.PostgresNodes(pool),
                postgres.PostgresUptime(pool),
                redis_storage.RedisStreams(redis, config.redis.prefix),
                redis_storage.RedisPresence(redis, config.redis.prefix),
            )
        finally:
            await redis.aclose()


@asynccontextmanager
async def open_database(config: Config) -> AsyncIterator[postgres.Pool]:
    """Connect to PostgreSQL for the length of the block.

    Raises:
        ConfigError: its address is missing.
        StartupError: it refuses.
    """
    database = config.database
    if not database.dsn:
        raise ConfigError(_missing("database.dsn", "PULSEBOARD_DATABASE_DSN"))
    pool = await postgres.connect(
        database.dsn,
        size=database.pool_size,
        connect_timeout=database.connect_timeout,
        statement_timeout=database.statement_timeout,
    )
    try:
        yield pool
    finally:
        await pool.close()


def make_services(config: Config, stores: Stores) -> Services:
    """The services that every process has.

    Raises:
        ConfigError: the key that signs tokens is missing.
    """
    clock = SystemClock()
    tokens = Tokens(auth_secret(config), clock, config.auth.access_ttl, config.auth.enrol_ttl)
    return Services(
        tokens,
        Earnings(stores.uptime, config.earnings.micropoints_per_hour),
        Networks(stores.nodes, stores.uptime, tokens, clock),
        Events(stores.streams, stores.presence, config.redis.stream_length),
    )


@asynccontextmanager
async def open_users(
    config: Config, users: UserStore, sessions: SessionStore, tokens: Tokens
) -> AsyncIterator[tuple[Users, Passwords]]:
    """The accounts, with threads for password hashes, for the length of the block."""
    auth = config.auth
    passwords = Passwords(auth.argon2_memory, auth.argon2_time, auth.argon2_threads)
    try:
        yield Users(users, sessions, passwords, tokens, SystemClock(), auth.refresh_ttl), passwords
    finally:
        # Waits for the hash that is being made, which must not hold the loop up.
        await asyncio.to_thread(passwords.close)


def auth_secret(config: Config) -> str:
    """The key that signs tokens.

    Raises:
        ConfigError: there is none, it cannot be read or it is too short.
    """
    auth = config.auth
    if auth.secret:
        return auth.secret
    if not auth.secret_file:
        raise ConfigError(_missing("auth.secret", "PULSEBOARD_AUTH_SECRET"))
    try:
        secret = Path(auth.secret_file).expanduser().read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"auth.secret_file: {auth.secret_file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"auth.secret_file: {auth.secret_file}: is not text") from error
    if len(secret) < SECRET_LENGTH:
        raise ConfigError(
            f"auth.secret_file: {auth.secret_file}: must hold at least {SECRET_LENGTH} characters"
        )
    return secret


async def migrate(config: Config) -> list[str]:
    """Bring the database's schema up to date; returns the names of the migrations applied now.

    Raises:
        ConfigError: the database's address is missing.
        StartupError: it refuses, or a migration failed and was undone.
    """
    if not config.database.dsn:
        raise ConfigError(_missing("database.dsn", "PULSEBOARD_DATABASE_DSN"))
    return await postgres.migrate(config.database.dsn, connect_timeout=config.database.connect_timeout)


async def ensure_user(config: Config, email: str, password: str, display_name: str) -> bool:
    """Make an account unless there is one with this address; returns whether it was made."""
    async with open_database(config) as pool:
        users = postgres.PostgresUsers(pool)
        if await users.by_email(email) is not None:
            return False
        auth = config.auth
        tokens = Tokens(auth_secret(config), SystemClock(), auth.access_ttl, auth.enrol_ttl)
        sessions = postgres.PostgresSessions(pool)
        async with open_users(config, users, sessions, tokens) as (accounts, _):
            await accounts.register(email, password, display_name)
        return True


async def run_worker(config: Config, reload: Reload | None = None) -> None:
    """Run a WebSocket worker until it is told to stop."""
    from core.engine.worker import Worker  # noqa: PLC0415 - only workers load the compiled parts

    runtime = Runtime("worker", config, reload)
    async with runtime.signals(), open_stores(config) as stores:
        services = make_services(config, stores)
        worker = Worker(
            config,
            tokens=services.tokens,
            earnings=services.earnings,
            networks=services.networks,
            streams=stores.streams,
            presence=stores.presence,
            clock=SystemClock(),
            worker_id=runtime.process_id,
        )
        runtime.measure(worker.metrics)
        async with (
            runtime.admin(worker.reasons) as admin_url,
            # The others must know a worker before it has its first connection.
            runtime.lease(stores.presence, admin_url),
        ):
            await worker.start()
            try:
                async with runtime.watched():
                    await runtime.stop.wait()
                    await worker.drain()
            finally:
                await worker.stop()


async def run_echo(config: Config, reload: Reload | None = None) -> None:
    """Run a server that sends everything back, at /echo, until it is told to stop."""
    from core.engine.echo import EchoServer  # noqa: PLC0415 - only workers load the compiled parts

    runtime = Runtime("echo", config, reload)
    async with runtime.signals():
        server = EchoServer(config)
        runtime.measure(server.metrics)
        async with runtime.admin(server.reasons):
            server.start()
            try:
                async with runtime.watched():
                    await runtime.stop.wait()
            finally:
                server.stop()


async def run_api(config: Config, reload: Reload | None = None) -> None:
    """Run the HTTP API until it is told to stop."""
    from core.http.app import create_app  # noqa: PLC0415 - only the API loads the framework
    from core.http.server import serve  # noqa: PLC0415 - only the API loads the framework

    runtime = Runtime("api", config, reload)
    async with runtime.signals(), open_stores(config) as stores:
        services = make_services(config, stores)
        async with open_users(config, stores.users, stores.sessions, services.tokens) as (users, passwords):
            app = create_app(
                config=config,
                version=version(),
                users=users,
                networks=services.networks,
                earnings=services.earnings,
                tokens=services.tokens,
                presence=stores.presence,
                checks={"postgresql": stores.pool.ping, "redis": stores.redis.ping},
                draining=runtime.stop,
                sources=(passwords.metrics,),
            )
            runtime.measure(lambda: {**app.metrics(), **passwords.metrics()})
            listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def announce(host: str, port: int) -> None:
                listening.set_result(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

            http = config.http
            serving = asyncio.create_task(serve(app, http.host, http.port, runtime.stop, announce=announce))
            try:
                waiting: list[asyncio.Future[Any]] = [serving, listening]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    get_logger("api").info("listening", url=listening.result())
                    async with runtime.lease(stores.presence, listening.result()), runtime.watched():
                        await serving
                else:
                    await serving
            finally:
                runtime.stop.set()
                await asyncio.wait({serving})


async def run_jobs(config: Config, reload: Reload | None = None) -> None:
    """Run the singleton duties, or wait for one's turn, until told to stop."""
    from core.jobs import Jobs  # noqa: PLC0415 - only this process has them

    runtime = Runtime("jobs", config, reload)
    async with runtime.signals(), open_stores(config) as stores:
        services = make_services(config, stores)
        jobs = Jobs(
            lock=postgres.PostgresLock(
                config.database.dsn, f"{config.redis.prefix}:{JOBS_LOCK}", timeout=config.redis.timeout
            ),
            streams=stores.streams,
            presence=stores.presence,
            uptime=stores.uptime,
            nodes=stores.nodes,
            earnings=services.earnings,
            networks=services.networks,
            events=services.events,
            clock=SystemClock(),
            process_id=runtime.process_id,
            lease=config.admin.lease,
            summary_interval=config.network.summary_interval,
        )
        runtime.measure(jobs.metrics)

        def amiss() -> list[str]:
            return [f"{duty} waits for a server" for duty in jobs.failing()]

        async with (
            runtime.admin(amiss) as admin_url,
            runtime.lease(stores.presence, admin_url),
            runtime.watched(),
        ):
            await runtime.until_stopped(jobs.run())


def _missing(key: str, variable: str) -> str:
    return f"configuration: {key}: is required; set it or {variable}, or let `pulseboard up` see to it"

"""The composition root: the one place where stores, services and processes are put together.

Nothing is built at import. A process is a coroutine here (`run_worker`, `run_api`, `run_jobs`):
it opens its stores, hands them to the services, runs until a signal ends it, and takes everything
down in the opposite order.
"""

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis

from core.clock import ManualClock, SystemClock
from core.config import Config
from core.endings import Announcer, Endings, exchange
from core.errors import ConfigError
from core.keys import load_keys
from core.logs import get_logger
from core.metrics import Source
from core.runtime import Reload, Runtime
from core.version import version
from services.abuse import Abuse
from services.accounts import Accounts, AccountSettings, AccountStores, make_accounts
from services.accounts.admission import Admission
from services.accounts.new_passwords import NewPasswords
from services.audit import Audit
from services.campaigns import Campaigns
from services.common_passwords import CommonPasswords
from services.disposable import DisposableDomains
from services.earnings import Earnings, epoch_closed
from services.events import Events
from services.explain import Explanations
from services.mail import Renderer
from services.networks import Networks
from services.nodes import Nodes
from services.oversight import Oversight
from services.passwords import Passwords
from services.proof import Books, Proof, Verdict
from services.referrals import Referrals
from services.revocations import Revocations, Revoked
from services.rewards import Claims
from services.score import Scores
from services.sealing import Sealer
from services.sessions import Sessions
from services.staff import Staff
from services.statistics import Statistics
from services.tokens import Tokens
from storage import postgres
from storage import redis as redis_storage
from storage.base import (
    AbuseStore,
    AuditLog,
    CampaignStore,
    ConfirmationStore,
    DayStore,
    EpochStore,
    FigureStore,
    IdempotencyStore,
    LedgerStore,
    NodeStore,
    Outbox,
    Presence,
    ScoreStore,
    SecondFactorStore,
    SessionStore,
    StatisticsStore,
    StreamLog,
    Throttle,
    UptimeStore,
    UserStore,
)
from storage.base.epochs import Epoch, FirstHours, HoldBack, Streak, Terms
from storage.base.referrals import Burst, ReferralStore, ReferralTerms, Tier
from storage.embedded import embedded_address
from storage.uptime import Rules

JOBS_LOCK = "jobs"
# Seconds by which a worker may be slow before it is said that epochs wait for it.
PATIENCE = 10.0
# Seconds that a proof of everything may take.
PROVING = 3600

_ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - names them, binds nothing


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
    confirmations: ConfirmationStore
    outbox: Outbox
    second_factors: SecondFactorStore
    audit: AuditLog
    idempotency: IdempotencyStore
    throttle: Throttle
    scores: ScoreStore
    abuse: AbuseStore
    statistics: StatisticsStore
    days: DayStore
    ledger: LedgerStore
    epochs: EpochStore
    referrals: ReferralStore
    figures: FigureStore
    campaigns: CampaignStore


class Services(Struct, frozen=True):
    """The services of one process."""

    tokens: Tokens
    revocations: Revocations
    audit: Audit
    earnings: Earnings
    networks: Networks
    events: Events
    statistics: Statistics


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
                postgres.PostgresUptime(pool, uptime_rules(config)),
                redis_storage.RedisStreams(redis, config.redis.prefix),
                redis_storage.RedisPresence(redis, config.redis.prefix),
                postgres.PostgresConfirmations(pool),
                postgres.PostgresOutbox(pool),
                postgres.PostgresSecondFactors(pool),
                postgres.PostgresAuditLog(pool),
                postgres.PostgresIdempotency(pool),
                redis_storage.RedisThrottle(redis, config.redis.prefix),
                postgres.PostgresScores(pool),
                postgres.PostgresAbuse(pool),
                postgres.PostgresStatistics(pool),
                postgres.PostgresDays(pool),
                postgres.PostgresLedger(pool),
                postgres.PostgresEpochs(pool),
                postgres.PostgresReferrals(pool),
                postgres.PostgresFigures(pool),
                postgres.PostgresCampaigns(pool),
            )
        finally:
            await redis.aclose()


def uptime_rules(config: Config) -> Rules:
    """What the configuration says of how uptime is counted."""
    network = config.network
    # An answer may be as old as the pause between two challenges is long, and not be reported yet; a dead
    # worker is given up after two leases of silence, or three where whoever looks has only begun to.
    tail = 1.5 * network.challenge_interval + network.challenge_timeout
    tail += network.report_interval + network.flush_interval + 3 * config.admin.lease
    return Rules(resume_window=network.resume_window, tail=tail)


def earning_terms(config: Config) -> Terms:
    """What the configuration says of how epochs are paid."""
    earnings = config.earnings
    steps = [step.split(":") for step in earnings.holdback]
    holdback = [HoldBack(days=int(days), share=int(share)) for days, share in steps]
    streak = first_hours = None
    if earnings.streak_days and earnings.streak_amount:
        streak = Streak(
            days=earnings.streak_days,
            least_seconds=earnings.streak_least_seconds,
            amount=earnings.streak_amount,
        )
    if earnings.first_hours and earnings.first_hours_share:
        first_hours = FirstHours(hours=earnings.first_hours, share=earnings.first_hours_share)
    return Terms(
        availability_pool=earnings.availability_pool,
        usage_pool=earnings.usage_pool,
        bonus_pool=earnings.bonus_pool,
        referral_pool=earnings.referral_pool,
        unmeasured_score=earnings.unmeasured_score,
        hold_seconds=earnings.hold_seconds,
        holdback=sorted(holdback, key=lambda step: step.days, reverse=True),
        streak=streak,
        first_hours=first_hours,
        minimum_payout=earnings.minimum_payout,
        referrals=referral_terms(config),
    )


def referral_terms(config: Config) -> ReferralTerms:
    """What the configuration says of how referrals are paid."""
    first, second, third = config.referrals.shares
    tiers = (tier.split(":") for tier in config.referrals.tiers)
    return ReferralTerms(
        shares=(first, second, third),
        active_seconds=config.referrals.active_hours * 3600,
        tiers=tuple(
            sorted(
                (Tier(active=int(people), multiplier=int(multiplier)) for people, multiplier in tiers),
                key=lambda tier: tier.active,
            )
        ),
    )


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
        ConfigError: a key that signs tokens is missing or no good.
    """
    clock = SystemClock()
    tokens = make_tokens(config)
    rules = uptime_rules(config)
    return Services(
        tokens,
        Revocations(stores.sessions, stores.nodes, clock, max(config.auth.access_ttl, config.auth.enrol_ttl)),
        Audit(stores.audit, clock),
        Earnings(
            figures=stores.figures,
            ledger=stores.ledger,
            epochs=stores.epochs,
            users=stores.users,
            clock=clock,
            settling=math.ceil(rules.settling),
        ),
        Networks(stores.nodes, stores.uptime, stores.abuse, tokens, clock),
        Events(stores.streams, stores.presence, config.redis.stream_length),
        Statistics(
            stores.statistics,
            clock,
            hour_days=config.network.hour_days,
            day_days=config.network.day_days,
        ),
    )


@asynccontextmanager
async def open_sessions(
    config: Config, stores: Stores, services: Services
) -> AsyncIterator[tuple[Sessions, Callable[[Revoked], None], Source]]:
    """The sign-in sessions, whom to tell of ends, and what is counted of them.

    Within the block the other processes are told of what ends here, and heard of what ends there.
    """
    announcer = Announcer(services.events)

    def ended(revoked: Revoked) -> None:
        services.revocations.take(revoked)
        announcer.put(revoked)

    async with exchange(stores.streams, Endings(services.revocations), announcer):
        sessions = Sessions(
            sessions=stores.sessions,
            users=stores.users,
            tokens=services.tokens,
            audit=services.audit,
            clock=SystemClock(),
            refresh_ttl=config.auth.refresh_ttl,
            ended=ended,
        )
        yield sessions, ended, lambda: {**services.revocations.metrics(), **announcer.metrics()}


@asynccontextmanager
async def open_passwords(config: Config) -> AsyncIterator[Passwords]:
    """Threads for password hashes, for the length of the block."""
    auth = config.auth
    passwords = Passwords(auth.argon2_memory, auth.argon2_time, auth.argon2_threads)
    try:
        yield passwords
    finally:
        # Waits for the hash that is being made, which must not hold the loop up.
        await asyncio.to_thread(passwords.close)


def make_referrals(config: Config, stores: Stores, services: Services) -> Referrals:
    """The referrals."""
    settings = config.referrals
    return Referrals(
        store=stores.referrals,
        throttle=stores.throttle,
        disposable=DisposableDomains.shipped(),
        audit=services.audit,
        clock=SystemClock(),
        terms=referral_terms(config),
        burst=Burst(people=settings.burst_people, seconds=settings.burst_seconds),
    )


def assemble_accounts(  # noqa: PLR0917  # all of what accounts are made of
    config: Config,
    stores: Stores,
    services: Services,
    sessions: Sessions,
    passwords: Passwords,
    referrals: Referrals,
) -> Accounts:
    """The accounts."""
    return make_accounts(
        stores=AccountStores(
            users=stores.users,
            sessions=stores.sessions,
            confirmations=stores.confirmations,
            outbox=stores.outbox,
            second_factors=stores.second_factors,
            nodes=stores.nodes,
            uptime=stores.uptime,
            ledger=stores.ledger,
            referrals=stores.referrals,
            statistics=stores.statistics,
            throttle=stores.throttle,
        ),
        settings=AccountSettings(
            public_url=page_url(config), link_ttl=config.mail.link_ttl, reset_ttl=config.mail.reset_ttl
        ),
        passwords=passwords,
        common=CommonPasswords.shipped(),
        sessions=sessions,
        referrals=referrals,
        sealer=make_sealer(config),
        audit=services.audit,
        clock=SystemClock(),
    )


def make_abuse(
    stores: Stores,
    services: Services,
    *,
    ended: Callable[[Revoked], Awaitable[object]],
    changed: Callable[[UUID], Awaitable[object]],
) -> Abuse:
    """The rules of abuse; `ended` is told whose tokens are void, `changed` whose nodes changed."""
    return Abuse(
        store=stores.abuse,
        nodes=stores.nodes,
        uptime=stores.uptime,
        audit=services.audit,
        clock=SystemClock(),
        ended=ended,
        changed=changed,
    )


def make_proof(config: Config, pool: postgres.Pool) -> Proof:
    """What proves the ledger, each time over a snapshot of its own."""
    rules = uptime_rules(config)

    @asynccontextmanager
    async def open_books() -> AsyncIterator[Books]:
        clock = ManualClock(SystemClock().now())
        async with pool.snapshot(PROVING) as snapshot:
            users = postgres.PostgresUsers(snapshot)
            ledger, epochs = postgres.PostgresLedger(snapshot), postgres.PostgresEpochs(snapshot)
            yield Books(
                ledger=ledger,
                epochs=epochs,
                proofs=postgres.PostgresProofs(snapshot),
                earnings=Earnings(
                    figures=postgres.PostgresFigures(snapshot),
                    ledger=ledger,
                    epochs=epochs,
                    users=users,
                    clock=clock,
                    settling=math.ceil(rules.settling),
                ),
                claims=Claims(ledger=ledger, epochs=epochs, users=users, clock=clock),
            )

    return Proof(open_books)


def make_oversight(config: Config, stores: Stores, services: Services) -> Oversight:
    """What the staff sees of epochs and proofs."""
    rules = uptime_rules(config)
    return Oversight(
        epochs=stores.epochs,
        uptime=stores.uptime,
        presence=stores.presence,
        audit=services.audit,
        clock=SystemClock(),
        grace=timedelta(seconds=rules.settling),
    )


def page_url(config: Config) -> str:
    """Where people reach the page, as links in mails name it: set, or the address listened on."""
    http = config.http
    if http.public_url:
        return http.public_url.rstrip("/")
    host = "localhost" if http.host in _ANYWHERE else http.host
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"


def make_sealer(config: Config) -> Sealer:
    """What seals secrets that are kept.

    Raises:
        ConfigError: a key is missing, cannot be read, is too short or easy to guess.
    """
    keys = load_keys(config)
    return Sealer(keys.current, keys.former)


def make_tokens(config: Config) -> Tokens:
    """What issues and verifies tokens.

    Raises:
        ConfigError: a key is missing, cannot be read, is too short or easy to guess.
    """
    keys = load_keys(config)
    auth = config.auth
    return Tokens(keys.current, SystemClock(), auth.access_ttl, auth.enrol_ttl, former=keys.former)


async def migrate(config: Config) -> list[str]:
    """Bring the database's schema up to date; returns the names of the migrations applied now.

    Raises:
        ConfigError: the database's address is missing.
        StartupError: it refuses, or a migration failed and was undone.
    """
    if not config.database.dsn:
        raise ConfigError(_missing("database.dsn", "PULSEBOARD_DATABASE_DSN"))
    return await postgres.migrate(config.database.dsn, connect_timeout=config.database.connect_timeout)


async def check_ledger(config: Config) -> Verdict:
    """Prove that all that is kept of earnings fits together, and every screen with it; changes nothing.

    Raises:
        ConfigError: the database's address is missing, and there is no embedded one.
        StartupError: it refuses, or its schema is not that of this release.
        StorageUnavailable: it stops answering.
    """
    if not config.database.dsn:
        dsn = embedded_address(config.data_dir) or ""
        config = replace(config, database=replace(config.database, dsn=dsn))
    async with open_database(config) as pool:
        await postgres.check_schema(pool)
        return await make_proof(config, pool).run()


async def ensure_user(
    config: Config, email: str, password: str, display_name: str, role: str = "user"
) -> bool:
    """Make an account, confirmed at once, unless there is one with this address; returns whether it was made.

    Raises:
        InvalidInput: the address, the name or the password is refused.
    """
    async with open_database(config) as pool, open_passwords(config) as passwords:
        users, clock = postgres.PostgresUsers(pool), SystemClock()
        if await users.by_email(email) is not None:
            return False
        admission = Admission(
            users=users,
            new_passwords=NewPasswords(passwords, CommonPasswords.shipped()),
            audit=Audit(postgres.PostgresAuditLog(pool), clock),
            clock=clock,
        )
        return await admission.admit(email, password, display_name, role) is not None


async def run_worker(config: Config, reload: Reload | None = None) -> None:
    """Run a WebSocket worker until it is told to stop."""
    from core.engine.worker import Worker  # noqa: PLC0415 - only workers load the compiled parts

    runtime = Runtime("worker", config, reload)
    async with runtime.signals(), open_stores(config) as stores:
        services = make_services(config, stores)
        worker = Worker(
            config,
            tokens=services.tokens,
            revocations=services.revocations,
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
    from core.http.app import Injected, create_app  # noqa: PLC0415 - only the API loads the framework
    from core.http.server import serve  # noqa: PLC0415 - only the API loads the framework

    runtime = Runtime("api", config, reload)
    async with runtime.signals(), open_stores(config) as stores:
        services = make_services(config, stores)
        async with (
            open_sessions(config, stores, services) as (sessions, ended, endings_metrics),
            open_passwords(config) as passwords,
        ):

            async def tell_others(revoked: Revoked) -> None:
                ended(revoked)

            async def tell_owner(user_id: UUID) -> None:
                overview = await services.earnings.overview(user_id)
                await services.events.publish_to_users("me", {user_id: (overview.revision, overview)})

            referrals = make_referrals(config, stores, services)
            injected = Injected(
                accounts=assemble_accounts(config, stores, services, sessions, passwords, referrals),
                referrals=referrals,
                sessions=sessions,
                networks=services.networks,
                statistics=services.statistics,
                owned=Nodes(nodes=stores.nodes, audit=services.audit, clock=SystemClock(), ended=ended),
                earnings=services.earnings,
                explanations=Explanations(epochs=stores.epochs, ledger=stores.ledger),
                claims=Claims(
                    ledger=stores.ledger, epochs=stores.epochs, users=stores.users, clock=SystemClock()
                ),
                tokens=services.tokens,
                revocations=services.revocations,
                audit=services.audit,
                staff=Staff(stores.users, sessions, services.audit),
                abuse=make_abuse(stores, services, ended=tell_others, changed=tell_owner),
                scores=Scores(stores.scores, stores.nodes),
                campaigns=Campaigns(store=stores.campaigns, audit=services.audit, clock=SystemClock()),
                oversight=make_oversight(config, stores, services),
            )
            app = create_app(
                config=config,
                version=version(),
                services=injected,
                idempotency=stores.idempotency,
                presence=stores.presence,
                clock=SystemClock(),
                checks={"postgresql": stores.pool.ping, "redis": stores.redis.ping},
                draining=runtime.stop,
                sources=(passwords.metrics, endings_metrics),
            )
            # What was made until now stays: the collector need not look at it again with every pause.
            gc.collect()
            gc.freeze()
            runtime.measure(lambda: {**app.metrics(), **passwords.metrics(), **endings_metrics()})
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
                await app.finish()


async def run_jobs(config: Config, reload: Reload | None = None) -> None:
    """Run the singleton duties, or wait for one's turn, until told to stop."""
    from core.jobs import (  # noqa: PLC0415 - only this process has them
        AbuseWatch,
        Chore,
        DailyUpkeep,
        Epochs,
        InputsUpkeep,
        Jobs,
        LedgerCheck,
        Mailing,
        Overviews,
        PlacesUpkeep,
        Pruning,
        ReferralUpkeep,
        Scoring,
        Settling,
        make_post,
    )
    from services.places import Places  # noqa: PLC0415 - only this process reads the files

    runtime = Runtime("jobs", config, reload)
    async with runtime.signals(), open_stores(config) as stores:
        services = make_services(config, stores)
        renderer = Renderer(make_sealer(config), page_url(config), config.mail.sender)
        post = make_post(config.mail, config.mail_dir, renderer.sender)
        network = config.network
        overviews = Overviews(services.earnings, services.events, stores.presence, network.report_interval)

        async def tell_owner(user_id: UUID) -> None:
            overviews.changed([user_id])

        async def tell_everybody(epoch: Epoch) -> None:
            await services.events.publish("epoch", epoch.number, epoch_closed(epoch))

        settling = Settling(stores.uptime, stores.streams, SystemClock())
        rules = uptime_rules(config)
        places = await asyncio.to_thread(Places, network.places_file, network.asn_file)
        chores: list[Chore] = [
            PlacesUpkeep(places),
            Epochs(
                store=stores.epochs,
                settling=settling,
                overviews=overviews,
                tell=tell_everybody,
                clock=SystemClock(),
                terms=earning_terms(config),
                seconds=config.earnings.epoch_seconds,
                grace=timedelta(seconds=rules.settling),
                # What its connections may leave unreported is not its delay.
                patience=timedelta(seconds=rules.tail + PATIENCE),
            ),
            Scoring(Scores(stores.scores, stores.nodes), SystemClock(), network.score_interval),
            AbuseWatch(
                store=stores.abuse,
                abuse=make_abuse(stores, services, ended=services.events.publish_revoked, changed=tell_owner),
                clock=SystemClock(),
                interval=network.rules_interval,
                keep_days=config.auth.audit_days,
            ),
            DailyUpkeep(
                stores.days,
                SystemClock(),
                hour_days=network.hour_days,
                day_days=network.day_days,
                session_days=network.session_days,
            ),
            InputsUpkeep(
                stores.epochs,
                SystemClock(),
                inputs_days=config.earnings.inputs_days,
                day_days=network.day_days,
            ),
            ReferralUpkeep(
                stores.referrals,
                SystemClock(),
                active_seconds=referral_terms(config).active_seconds,
                traces_days=config.referrals.traces_days,
            ),
            LedgerCheck(
                make_proof(config, stores.pool), make_oversight(config, stores, services), SystemClock()
            ),
            Mailing(stores.outbox, renderer, post, SystemClock()),
            Pruning(
                confirmations=stores.confirmations,
                sessions=stores.sessions,
                idempotency=stores.idempotency,
                audit=services.audit,
                clock=SystemClock(),
                audit_days=config.auth.audit_days,
            ),
        ]
        jobs = Jobs(
            lock=postgres.PostgresLock(
                config.database.dsn, f"{config.redis.prefix}:{JOBS_LOCK}", timeout=config.redis.timeout
            ),
            streams=stores.streams,
            presence=stores.presence,
            uptime=stores.uptime,
            overviews=overviews,
            settling=settling,
            networks=services.networks,
            events=services.events,
            locate=places.locate,
            clock=SystemClock(),
            process_id=runtime.process_id,
            lease=config.admin.lease,
            summary_interval=network.summary_interval,
            chores=chores,
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

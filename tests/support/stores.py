"""The durable stores over one database, and short ways to fill them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from core.clock import new_id
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
    LoginSession,
    Mail,
    Node,
    NodeStore,
    Outbox,
    ProofStore,
    ReferralStore,
    ScoreStore,
    SecondFactorStore,
    SessionStore,
    StatisticsStore,
    UptimeStore,
    User,
    UserStore,
)
from storage.memory import (
    MemoryAbuse,
    MemoryAuditLog,
    MemoryCampaigns,
    MemoryConfirmations,
    MemoryDatabase,
    MemoryDays,
    MemoryEpochs,
    MemoryFigures,
    MemoryIdempotency,
    MemoryLedger,
    MemoryNodes,
    MemoryOutbox,
    MemoryProofs,
    MemoryReferrals,
    MemoryScores,
    MemorySecondFactors,
    MemorySessions,
    MemoryStatistics,
    MemoryUptime,
    MemoryUsers,
)
from storage.postgres import (
    Pool,
    PostgresAbuse,
    PostgresAuditLog,
    PostgresCampaigns,
    PostgresConfirmations,
    PostgresDays,
    PostgresEpochs,
    PostgresFigures,
    PostgresIdempotency,
    PostgresLedger,
    PostgresNodes,
    PostgresOutbox,
    PostgresProofs,
    PostgresReferrals,
    PostgresScores,
    PostgresSecondFactors,
    PostgresSessions,
    PostgresStatistics,
    PostgresUptime,
    PostgresUsers,
)

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def make_user(**changes: object) -> User:
    """A user with an id and an address of their own."""
    user_id = new_id()
    facts = {
        "user_id": user_id,
        "email": f"{user_id}@example.org",
        "display_name": "Ada",
        "password_hash": "hash",
        "created_at": CREATED,
    }
    return User(**{**facts, **changes})


def make_node(user_id: UUID, **changes: object) -> Node:
    """A node with an id and a key of its own."""
    facts = {
        "user_id": user_id,
        "node_id": new_id(),
        "public_key": new_id().bytes + new_id().bytes,
        "name": "attic",
        "created_at": CREATED,
    }
    return Node(**{**facts, **changes})


def make_session(user_id: UUID, token: str, created_at: datetime = CREATED) -> LoginSession:
    """A session of thirty days with the refresh token `token`."""
    return LoginSession(
        user_id=user_id,
        session_id=new_id(),
        token_hash=sha256(token.encode()).digest(),
        device="Firefox on Linux",
        address="192.0.2.1",
        created_at=created_at,
        last_used_at=created_at,
        expires_at=created_at + timedelta(days=30),
    )


def make_mail(next_at: datetime, **changes: object) -> Mail:
    """A mail that is due at `next_at` and expires a day later."""
    facts = {
        "mail_id": new_id(),
        "recipient": "ada@example.org",
        "template": "verify",
        "body": b"sealed",
        "created_at": next_at,
        "next_at": next_at,
        "expires_at": next_at + timedelta(days=1),
    }
    return Mail(**{**facts, **changes})


@dataclass
class Stores:
    """Everything that lives in one database."""

    users: UserStore
    sessions: SessionStore
    nodes: NodeStore
    uptime: UptimeStore
    confirmations: ConfirmationStore
    outbox: Outbox
    second_factors: SecondFactorStore
    audit: AuditLog
    idempotency: IdempotencyStore
    scores: ScoreStore
    abuse: AbuseStore
    statistics: StatisticsStore
    days: DayStore
    ledger: LedgerStore
    referrals: ReferralStore
    epochs: EpochStore
    campaigns: CampaignStore
    figures: FigureStore
    # All of one moment, and what proves that it fits together.
    moment: Callable[[], AbstractAsyncContextManager[tuple[ProofStore, "Stores"]]]

    async def add_user(self) -> UUID:
        """Add a user; returns the id."""
        user = make_user()
        assert await self.users.add(user)
        return user.user_id

    async def add_node(self, user_id: UUID, name: str = "attic") -> UUID:
        """Add a node; returns the id."""
        node = make_node(user_id, name=name)
        assert await self.nodes.enrol(node) == node
        return node.node_id


def memory_stores(database: MemoryDatabase | None = None) -> Stores:
    """Stores in memory."""
    database = database or MemoryDatabase()

    @asynccontextmanager
    async def moment() -> AsyncIterator[tuple[ProofStore, Stores]]:
        yield MemoryProofs(database), stores

    stores = Stores(
        MemoryUsers(database),
        MemorySessions(database),
        MemoryNodes(database),
        MemoryUptime(database),
        MemoryConfirmations(database),
        MemoryOutbox(database),
        MemorySecondFactors(database),
        MemoryAuditLog(database),
        MemoryIdempotency(database),
        MemoryScores(database),
        MemoryAbuse(database),
        MemoryStatistics(database),
        MemoryDays(database),
        MemoryLedger(database),
        MemoryReferrals(database),
        MemoryEpochs(database),
        MemoryCampaigns(database),
        MemoryFigures(database),
        moment,
    )
    return stores


def postgres_stores(pool: Pool) -> Stores:
    """Stores on PostgreSQL."""

    @asynccontextmanager
    async def moment() -> AsyncIterator[tuple[ProofStore, Stores]]:
        async with pool.snapshot(60) as snapshot:
            yield PostgresProofs(snapshot), postgres_stores(snapshot)

    return Stores(
        PostgresUsers(pool),
        PostgresSessions(pool),
        PostgresNodes(pool),
        PostgresUptime(pool),
        PostgresConfirmations(pool),
        PostgresOutbox(pool),
        PostgresSecondFactors(pool),
        PostgresAuditLog(pool),
        PostgresIdempotency(pool),
        PostgresScores(pool),
        PostgresAbuse(pool),
        PostgresStatistics(pool),
        PostgresDays(pool),
        PostgresLedger(pool),
        PostgresReferrals(pool),
        PostgresEpochs(pool),
        PostgresCampaigns(pool),
        PostgresFigures(pool),
        moment,
    )

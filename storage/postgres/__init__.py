"""Adapters on PostgreSQL (15 or newer), by asyncpg.

`connect` opens a `Pool`, which every adapter takes; `migrate` brings the schema up to date and
`check_schema` says whether it is. Nothing but `PostgresLock` relies on the state of a connection.
"""

from storage.postgres.abuse import PostgresAbuse
from storage.postgres.campaigns import PostgresCampaigns
from storage.postgres.confirmations import PostgresConfirmations, PostgresOutbox
from storage.postgres.days import PostgresDays
from storage.postgres.epochs import PostgresEpochs
from storage.postgres.figures import PostgresFigures
from storage.postgres.ledger import PostgresLedger
from storage.postgres.lock import PostgresLock
from storage.postgres.migrations import check_schema, migrate
from storage.postgres.nodes import PostgresNodes
from storage.postgres.people import PostgresSessions, PostgresUsers
from storage.postgres.pool import Pool, connect
from storage.postgres.proofs import PostgresProofs
from storage.postgres.referrals import PostgresReferrals
from storage.postgres.scores import PostgresScores
from storage.postgres.security import PostgresAuditLog, PostgresIdempotency, PostgresSecondFactors
from storage.postgres.statistics import PostgresStatistics
from storage.postgres.uptime import PostgresUptime

__all__ = [
    "Pool",
    "PostgresAbuse",
    "PostgresAuditLog",
    "PostgresCampaigns",
    "PostgresConfirmations",
    "PostgresDays",
    "PostgresEpochs",
    "PostgresFigures",
    "PostgresIdempotency",
    "PostgresLedger",
    "PostgresLock",
    "PostgresNodes",
    "PostgresOutbox",
    "PostgresProofs",
    "PostgresReferrals",
    "PostgresScores",
    "PostgresSecondFactors",
    "PostgresSessions",
    "PostgresStatistics",
    "PostgresUptime",
    "PostgresUsers",
    "check_schema",
    "connect",
    "migrate",
]

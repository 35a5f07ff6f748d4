"""Adapters that keep everything in the memory of one process.

They hold the guarantees of `storage.base` within that process and forget everything with it:
made for tests and for trying a service out. Adapters that share a `MemoryDatabase` see the same data.
"""

from storage.memory.abuse import MemoryAbuse
from storage.memory.campaigns import MemoryCampaigns
from storage.memory.confirmations import MemoryConfirmations, MemoryOutbox
from storage.memory.database import MemoryDatabase
from storage.memory.days import MemoryDays
from storage.memory.epochs import MemoryEpochs
from storage.memory.figures import MemoryFigures
from storage.memory.ledger import MemoryLedger
from storage.memory.lock import MemoryLock
from storage.memory.nodes import MemoryNodes
from storage.memory.people import MemorySessions, MemoryUsers
from storage.memory.presence import MemoryPresence
from storage.memory.proofs import MemoryProofs
from storage.memory.referrals import MemoryReferrals
from storage.memory.scores import MemoryScores
from storage.memory.security import MemoryAuditLog, MemoryIdempotency, MemorySecondFactors
from storage.memory.statistics import MemoryStatistics
from storage.memory.streams import MemoryStreams
from storage.memory.throttle import MemoryThrottle
from storage.memory.uptime import MemoryUptime

__all__ = [
    "MemoryAbuse",
    "MemoryAuditLog",
    "MemoryCampaigns",
    "MemoryConfirmations",
    "MemoryDatabase",
    "MemoryDays",
    "MemoryEpochs",
    "MemoryFigures",
    "MemoryIdempotency",
    "MemoryLedger",
    "MemoryLock",
    "MemoryNodes",
    "MemoryOutbox",
    "MemoryPresence",
    "MemoryProofs",
    "MemoryReferrals",
    "MemoryScores",
    "MemorySecondFactors",
    "MemorySessions",
    "MemoryStatistics",
    "MemoryStreams",
    "MemoryThrottle",
    "MemoryUptime",
    "MemoryUsers",
]

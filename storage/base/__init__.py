"""The ports: what the product asks of its stores, and what a store guarantees.

Every method is a coroutine and atomic: it happens whole or not at all. A store that cannot be
reached raises `StorageUnavailable` and leaves nothing half-written. What a caller got wrong is a
`Refusal`: `NotFound` for what would belong to an unknown user, `InvalidInput` for a text with a NUL.
Times are aware and UTC; ids are UUIDv7; amounts of time are whole milliseconds.
"""

from storage.base.confirmations import (
    ConfirmationStore,
    EmailChange,
    EmailChanged,
    Mail,
    Outbox,
    Registration,
    Reset,
)
from storage.base.nodes import Node, NodeStore
from storage.base.people import LoginSession, Rotation, SessionStore, User, UserStore
from storage.base.security import (
    AuditEvent,
    AuditLog,
    IdempotencyStore,
    KeptAnswer,
    SecondFactor,
    SecondFactorStore,
)
from storage.base.shared import Limit, Lock, Presence, Process, StreamLog, Throttle, Verdict
from storage.base.uptime import (
    Batch,
    Closed,
    Confirmed,
    NetworkTotals,
    NodeTotals,
    Opened,
    Record,
    Reported,
    UptimeStore,
    UserTotals,
)

__all__ = [
    "AuditEvent",
    "AuditLog",
    "Batch",
    "Closed",
    "ConfirmationStore",
    "Confirmed",
    "EmailChange",
    "EmailChanged",
    "IdempotencyStore",
    "KeptAnswer",
    "Limit",
    "Lock",
    "LoginSession",
    "Mail",
    "NetworkTotals",
    "Node",
    "NodeStore",
    "NodeTotals",
    "Opened",
    "Outbox",
    "Presence",
    "Process",
    "Record",
    "Registration",
    "Reported",
    "Reset",
    "Rotation",
    "SecondFactor",
    "SecondFactorStore",
    "SessionStore",
    "StreamLog",
    "Throttle",
    "UptimeStore",
    "User",
    "UserStore",
    "UserTotals",
    "Verdict",
]

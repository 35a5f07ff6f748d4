"""The data that memory adapters share."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import astuple, replace

from core.clock import Clock, SystemClock
from core.errors import InvalidInput, NotFound
from storage.base import (
    AuditEvent,
    EmailChange,
    KeptAnswer,
    LoginSession,
    Mail,
    Node,
    Registration,
    Reset,
    SecondFactor,
    User,
)
from storage.uptime import HourSums, NodeState

_REMEMBERED = timedelta(days=1)


class FormerToken(Struct):
    """A refresh token of a living session: whose it is, and when it was replaced, if it was."""

    session_id: UUID
    replaced_at: datetime | None = None


class MemoryDatabase(Struct, kw_only=True):
    """Everything that a PostgreSQL database would hold. Belongs to one event loop.

    `clock` is the database's own: it tells when a session was ended. `former` holds the states of
    nodes of erased accounts. With an `EmailChange` go the hashes of the tokens not used yet.
    """

    clock: Clock = field(default_factory=SystemClock)

    users: dict[UUID, User] = field(default_factory=dict)
    emails: dict[str, UUID] = field(default_factory=dict)
    wallets: dict[str, UUID] = field(default_factory=dict)

    sessions: dict[UUID, LoginSession] = field(default_factory=dict)
    tokens: dict[bytes, FormerToken] = field(default_factory=dict)
    ended: dict[UUID, datetime] = field(default_factory=dict)

    registrations: dict[str, Registration] = field(default_factory=dict)
    resets: dict[UUID, Reset] = field(default_factory=dict)
    email_changes: dict[UUID, tuple[EmailChange, set[bytes]]] = field(default_factory=dict)
    mails: dict[UUID, Mail] = field(default_factory=dict)

    factors: dict[UUID, SecondFactor] = field(default_factory=dict)
    events: list[AuditEvent] = field(default_factory=list)
    answers: dict[tuple[UUID, str], KeptAnswer] = field(default_factory=dict)

    nodes: dict[UUID, Node] = field(default_factory=dict)
    keys: dict[bytes, UUID] = field(default_factory=dict)
    token_times: dict[UUID, int] = field(default_factory=dict)

    states: dict[UUID, NodeState] = field(default_factory=dict)
    former: dict[UUID, NodeState] = field(default_factory=dict)
    hours: dict[tuple[UUID, int], HourSums] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)
    cursor: str = "0-0"
    revision: int = 0

    def require_user(self, user_id: UUID) -> User:
        """The user; what would belong to nobody is refused."""
        user = self.users.get(user_id)
        if user is None:
            raise NotFound("user_unknown", "There is no such user.")
        return user

    def add_user(self, user: User) -> bool:
        """Add `user`; false if the address is taken."""
        if user.email in self.emails:
            return False
        self.users[user.user_id] = replace(user, wallet=None, second_factor=False)
        self.emails[user.email] = user.user_id
        return True

    def person(self, user_id: UUID) -> User | None:
        """The user as the product sees them."""
        user = self.users.get(user_id)
        factor = self.factors.get(user_id)
        return user and replace(user, second_factor=bool(factor and factor.confirmed_at))

    def end_sessions(self, user_id: UUID, but: UUID | None = None) -> list[UUID]:
        """End the sessions of a user except `but`; returns the ended ones."""
        ended = [
            session.session_id
            for session in self.sessions.values()
            if session.user_id == user_id and session.session_id != but
        ]
        for session_id in ended:
            self.end_session(session_id)
        return ended

    def end_session(self, session_id: UUID) -> None:
        """End a session and remember that."""
        self.remove_session(session_id)
        now = self.clock.now()
        for old in [key for key, at in self.ended.items() if at < now - _REMEMBERED]:
            del self.ended[old]
        self.ended[session_id] = now

    def remove_session(self, session_id: UUID) -> None:
        """Forget a session and its tokens."""
        del self.sessions[session_id]
        for token_hash in [h for h, token in self.tokens.items() if token.session_id == session_id]:
            del self.tokens[token_hash]


def require_storable(*values: Any) -> None:
    """Refuse texts that a database could not hold, also within records and containers."""
    for value in values:
        match value:
            case str() if "\0" in value:
                raise InvalidInput("text_invalid", "A text holds a character that cannot be stored.")
            case Struct():
                require_storable(*astuple(value))
            case dict():
                require_storable(*value, *value.values())
            case list() | tuple():
                require_storable(*value)

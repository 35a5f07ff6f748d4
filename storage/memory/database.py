"""The data that memory adapters share."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import astuple

from core.errors import InvalidInput, NotFound
from storage.base import LoginSession, Node, User
from storage.uptime import HourSums, NodeState


class FormerToken(Struct):
    """A refresh token of a living session: whose it is, and when it was replaced, if it was."""

    session_id: UUID
    replaced_at: datetime | None = None


class MemoryDatabase(Struct, kw_only=True):
    """Everything that a PostgreSQL database would hold. Belongs to one event loop."""

    users: dict[UUID, User] = field(default_factory=dict)
    emails: dict[str, UUID] = field(default_factory=dict)

    sessions: dict[UUID, LoginSession] = field(default_factory=dict)
    tokens: dict[bytes, FormerToken] = field(default_factory=dict)

    nodes: dict[UUID, Node] = field(default_factory=dict)
    keys: dict[bytes, UUID] = field(default_factory=dict)
    token_times: dict[UUID, int] = field(default_factory=dict)

    states: dict[UUID, NodeState] = field(default_factory=dict)
    hours: dict[tuple[UUID, int], HourSums] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)
    cursor: str = "0-0"
    revision: int = 0

    def require_user(self, user_id: UUID) -> None:
        """Refuse what would belong to nobody."""
        if user_id not in self.users:
            raise NotFound("user_unknown", "There is no such user.")


def require_storable(record: Struct) -> None:
    """Refuse texts that a database could not hold."""
    if any(isinstance(value, str) and "\0" in value for value in astuple(record)):
        raise InvalidInput("text_invalid", "A text holds a character that cannot be stored.")

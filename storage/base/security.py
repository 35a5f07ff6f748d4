"""Second factors, the audit log, and answers kept for repeated requests."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct


class SecondFactor(Struct, frozen=True, kw_only=True):
    """A person's TOTP secret (RFC 6238), sealed, and the hashes of recovery codes not used yet.

    It counts from `confirmed_at` on; before that it is only on offer. `last_step` is the newest time
    step a code was accepted for.
    """

    user_id: UUID
    secret: bytes
    created_at: datetime
    confirmed_at: datetime | None = None
    last_step: int = 0
    recovery: tuple[bytes, ...] = ()


class SecondFactorStore(Protocol):
    """The second factors."""

    async def get(self, user_id: UUID) -> SecondFactor | None:
        """The user's, confirmed or on offer."""
        ...

    async def offer(self, factor: SecondFactor) -> bool:
        """Replace an unconfirmed one; false, and nothing changed, if a confirmed one is there."""
        ...

    async def confirm(self, user_id: UUID, step: int, recovery: Sequence[bytes], now: datetime) -> bool:
        """Let the one on offer count from now on; false if none is on offer."""
        ...

    async def use_step(self, user_id: UUID, step: int) -> bool:
        """Spend the code of `step`; false unless it is newer than every one before."""
        ...

    async def use_recovery(self, user_id: UUID, code_hash: bytes) -> bool:
        """Spend a recovery code; false if there is none such. Of concurrent calls one is true."""
        ...

    async def set_recovery(self, user_id: UUID, recovery: Sequence[bytes]) -> bool:
        """Replace all recovery codes; false without a confirmed factor."""
        ...

    async def remove(self, user_id: UUID) -> bool:
        """Take it away; false if there was none."""
        ...


class AuditEvent(Struct, frozen=True, kw_only=True):
    """Something that matters to security happened.

    `kind` is a stable dotted name ("login.failed"), `user_id` whom it concerns, `actor_id` who did it;
    `facts` are further public facts, without secrets.
    """

    event_id: UUID
    at: datetime
    kind: str
    user_id: UUID | None = None
    actor_id: UUID | None = None
    address: str = ""
    request_id: str = ""
    facts: dict[str, Any] = {}


class AuditLog(Protocol):
    """Events in order of their ids; nothing is ever changed, and only `prune` removes."""

    async def append(self, event: AuditEvent) -> None:
        """Write an event down."""
        ...

    async def read(
        self, *, user_id: UUID | None, kind: str | None, before: UUID | None, limit: int
    ) -> list[AuditEvent]:
        """The newest first, at most `limit`, those before `before`; `kind` may be a prefix with its dot."""
        ...

    async def prune(self, before: datetime) -> int:
        """Drop what is older than the retention; returns how many."""
        ...


class KeptAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a request under an idempotency key; `status` 0 while it is being worked on."""

    fingerprint: bytes
    status: int
    body: bytes
    created_at: datetime


class IdempotencyStore(Protocol):
    """Answers of requests that may be repeated (draft-ietf-httpapi-idempotency-key-header)."""

    async def begin(
        self, user_id: UUID, key: str, fingerprint: bytes, now: datetime, stale: datetime
    ) -> KeptAnswer | None:
        """Claim `key`: None, and the caller answers; or what is there already.

        A claim from before `stale` that has no answer was abandoned and is claimed anew.
        """
        ...

    async def finish(self, user_id: UUID, key: str, status: int, body: bytes) -> None:
        """Keep the answer."""
        ...

    async def abandon(self, user_id: UUID, key: str) -> None:
        """Give the claim up: the request failed and may be repeated."""
        ...

    async def prune(self, before: datetime) -> int:
        """Drop answers from before that; returns how many."""
        ...

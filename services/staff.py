"""What the staff may see of people and do to their accounts; all of it is written down."""

from typing import Final
from uuid import UUID

from core.errors import Conflict, InvalidInput, NotFound
from services.audit import Audit, Kind
from services.sessions import Sessions
from services.tokens import Principal
from storage.base import AuditEvent, LoginSession, User, UserStore

ROLES: Final = ("user", "support", "operator")


class Staff:
    """Support looks, operators change. Each method takes who does it as `actor`."""

    def __init__(self, users: UserStore, sessions: Sessions, audit: Audit) -> None:
        self._users = users
        self._sessions = sessions
        self._audit = audit

    async def find(self, actor: Principal, words: str, after: UUID | None, limit: int) -> list[User]:
        """People by id, at most `limit`, those behind `after`; with `words` whose address begins so or
        whose id it is.
        """
        found = await self._users.find(words, after, limit)
        if words:
            await self._audit.note(Kind.ADMIN_SEARCHED, actor_id=actor.user_id, found=len(found))
        return found

    async def view(self, actor: Principal, user_id: UUID) -> tuple[User, list[LoginSession]]:
        """A person, and their first open sessions, the newest first.

        Raises:
            NotFound: "user_not_found".
        """
        user = await self._known(user_id)
        sessions, _ = await self._sessions.list_sessions(user_id, None, 50)
        await self._audit.note(Kind.ADMIN_VIEWED, user_id=user_id, actor_id=actor.user_id)
        return user, sessions

    async def set_role(self, actor: Principal, user_id: UUID, role: str) -> User:
        """Give a person another role; their sessions end, since tokens tell the former one.

        Raises:
            NotFound: "user_not_found".
            InvalidInput: "invalid_input", field "role".
            Conflict: "own_role": nobody changes their own, so that an operator is always left.
        """
        if role not in ROLES:
            raise InvalidInput("invalid_input", f"role: must be one of {', '.join(ROLES)}.", field="role")
        if user_id == actor.user_id:
            raise Conflict("own_role", "Nobody changes their own role; ask another operator.")
        user = await self._known(user_id)
        if user.role != role:
            if not await self._users.set_role(user_id, role):
                raise _unknown()
            await self._audit.note(
                Kind.ROLE_CHANGED, user_id=user_id, actor_id=actor.user_id, former=user.role, role=role
            )
            await self._sessions.end_all(user_id, actor_id=actor.user_id)
        return await self._known(user_id)

    async def end_sessions(self, actor: Principal, user_id: UUID) -> int:
        """Sign a person and their nodes out everywhere; returns how many sessions ended.

        Raises:
            NotFound: "user_not_found".
        """
        await self._known(user_id)
        ended = await self._sessions.end_all(user_id, nodes=True, actor_id=actor.user_id)
        await self._audit.note(
            Kind.ADMIN_SESSIONS_ENDED, user_id=user_id, actor_id=actor.user_id, sessions=ended
        )
        return ended

    async def audit(
        self, actor: Principal, *, user_id: UUID | None, kind: str | None, before: UUID | None, limit: int
    ) -> list[AuditEvent]:
        """Security events, the newest first, at most `limit`, those before `before`.

        Raises:
            InvalidInput: "invalid_input", field "kind".
        """
        events = await self._audit.read(user_id=user_id, kind=kind, before=before, limit=limit)
        if before is None:
            await self._audit.note(
                Kind.ADMIN_AUDIT_READ,
                actor_id=actor.user_id,
                user=str(user_id) if user_id else None,
                of_kind=kind,
            )
        return events

    async def _known(self, user_id: UUID) -> User:
        user = await self._users.by_id(user_id)
        if user is None:
            raise _unknown()
        return user


def _unknown() -> NotFound:
    return NotFound("user_not_found", "There is no account with this id.")

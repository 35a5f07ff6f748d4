"""People and their sign-in sessions."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from storage.base import LoginSession, Rotation, User
from storage.memory.database import FormerToken, MemoryDatabase, require_storable


class MemoryUsers:
    """`UserStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add(self, user: User) -> bool:
        require_storable(user)
        if user.email in self._db.emails:
            return False
        self._db.users[user.user_id] = user
        self._db.emails[user.email] = user.user_id
        return True

    async def by_email(self, email: str) -> User | None:
        user_id = self._db.emails.get(email)
        return None if user_id is None else self._db.users[user_id]

    async def by_id(self, user_id: UUID) -> User | None:
        return self._db.users.get(user_id)

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        user = self._db.users.get(user_id)
        if user is not None:
            self._db.users[user_id] = replace(user, password_hash=password_hash)


class MemorySessions:
    """`SessionStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add(self, session: LoginSession) -> None:
        require_storable(session)
        self._db.require_user(session.user_id)
        for old in self._of(session.user_id):
            if old.expires_at <= session.created_at:
                self._remove(old.session_id)
        self._db.sessions[session.session_id] = session
        self._db.tokens[session.token_hash] = FormerToken(session.session_id)

    async def rotate(
        self, token_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime, grace_ms: int
    ) -> Rotation:
        token = self._db.tokens.get(token_hash)
        session = self._db.sessions[token.session_id] if token else None
        if token is None or session is None or session.expires_at <= now:
            return Rotation("unknown")
        if token.replaced_at is None:
            token.replaced_at = now
            session = replace(session, token_hash=new_hash, last_used_at=now, expires_at=expires_at)
            self._db.sessions[session.session_id] = session
            self._db.tokens[new_hash] = FormerToken(session.session_id)
            return Rotation("rotated", session)
        if now - token.replaced_at < timedelta(milliseconds=grace_ms):
            return Rotation("raced", session)
        self._remove(session.session_id)
        return Rotation("reused", session)

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        session = self._db.sessions.get(session_id)
        if session is None or session.user_id != user_id:
            return False
        self._remove(session_id)
        return True

    async def end_all(self, user_id: UUID) -> int:
        sessions = self._of(user_id)
        for session in sessions:
            self._remove(session.session_id)
        return len(sessions)

    async def of_user(self, user_id: UUID, now: datetime) -> list[LoginSession]:
        living = [session for session in self._of(user_id) if session.expires_at > now]
        return sorted(living, key=lambda session: (session.created_at, session.session_id), reverse=True)

    def _of(self, user_id: UUID) -> list[LoginSession]:
        return [session for session in self._db.sessions.values() if session.user_id == user_id]

    def _remove(self, session_id: UUID) -> None:
        del self._db.sessions[session_id]
        for token_hash in [h for h, token in self._db.tokens.items() if token.session_id == session_id]:
            del self._db.tokens[token_hash]

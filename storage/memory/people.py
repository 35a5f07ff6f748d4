"""People and their sign-in sessions."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from storage.base import LoginSession, Place, Rotation, Trait, User
from storage.memory.database import FormerToken, MemoryDatabase, require_storable
from storage.memory.referrals import forget, see, see_mailbox


class MemoryUsers:
    """`UserStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add(self, user: User) -> bool:
        require_storable(user)
        if not self._db.add_user(user):
            return False
        see_mailbox(self._db, user.user_id, user.email)
        return True

    async def by_email(self, email: str) -> User | None:
        require_storable(email)
        user_id = self._db.emails.get(email)
        return None if user_id is None else self._db.person(user_id)

    async def by_id(self, user_id: UUID) -> User | None:
        return self._db.person(user_id)

    async def find(self, words: str, after: UUID | None, limit: int) -> list[User]:
        require_storable(words)
        found = sorted(
            user.user_id
            for user in self._db.users.values()
            if (after is None or user.user_id > after)
            and (user.email.startswith(words) or str(user.user_id) == words.lower())
        )
        return [user for user_id in found[:limit] if (user := self._db.person(user_id))]

    async def set_password_hash(self, user_id: UUID, password_hash: str, was: str | None = None) -> None:
        require_storable(password_hash)
        user = self._db.users.get(user_id)
        if user and was in (None, user.password_hash):
            self._db.users[user_id] = replace(user, password_hash=password_hash)

    async def set_profile(self, user_id: UUID, display_name: str, locale: str, time_zone: str) -> None:
        require_storable(display_name, locale, time_zone)
        user = self._db.users.get(user_id)
        if user:
            self._db.users[user_id] = replace(
                user, display_name=display_name, locale=locale, time_zone=time_zone
            )

    async def set_role(self, user_id: UUID, role: str) -> bool:
        user = self._db.users.get(user_id)
        if user is None:
            return False
        self._db.users[user_id] = replace(user, role=role)
        return True

    async def set_wallet(self, user_id: UUID, wallet: str | None) -> bool:
        require_storable(wallet)
        user = self._db.require_user(user_id)
        if wallet is not None and self._db.wallets.setdefault(wallet, user_id) != user_id:
            return False
        if user.wallet is not None and user.wallet != wallet:
            del self._db.wallets[user.wallet]
        self._db.users[user_id] = replace(user, wallet=wallet)
        if wallet is not None:
            see(self._db, user_id, [Trait("wallet", wallet)], self._db.clock.now())
        return True

    async def erase(self, user_id: UUID, at: datetime) -> bool:
        db = self._db
        user = db.users.pop(user_id, None)
        if user is None:
            return False
        db.end_sessions(user_id)
        db.forget_abuse(user_id)
        forget(db, user_id)
        db.scores = {key: score for key, score in db.scores.items() if key[0] != user_id}
        del db.emails[user.email]
        if user.wallet is not None:
            del db.wallets[user.wallet]
        db.registrations.pop(user.email, None)
        for of_user in (db.resets, db.email_changes, db.factors):
            of_user.pop(user_id, None)
        for owner, key in [key for key in db.answers if key[0] == user_id]:
            del db.answers[owner, key]
        for node in [node for node in db.nodes.values() if node.user_id == user_id]:
            db.end_node(node.node_id, at)
        for node in [node for node in db.retired.values() if node.user_id == user_id]:
            del db.retired[node.node_id], db.retired_at[node.node_id]
        for state in db.former.values():
            if state.user_id == user_id:
                state.address, state.place = "", Place(country=state.place.country, asn=state.place.asn)
        db.revision += 1
        return True


class MemorySessions:
    """`SessionStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add(self, session: LoginSession, password_hash: str | None = None) -> bool:
        require_storable(session)
        user = self._db.require_user(session.user_id)
        if password_hash not in (None, user.password_hash):
            return False
        for old in self._of(session.user_id):
            if old.expires_at <= session.created_at:
                self._db.remove_session(old.session_id)
        self._db.sessions[session.session_id] = session
        self._db.tokens[session.token_hash] = FormerToken(session.session_id)
        return True

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
        self._db.end_session(session.session_id)
        return Rotation("reused", session)

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        session = self._db.sessions.get(session_id)
        if session is None or session.user_id != user_id:
            return False
        self._db.end_session(session_id)
        return True

    async def end_all(self, user_id: UUID, but: UUID | None = None) -> list[UUID]:
        return self._db.end_sessions(user_id, but)

    async def ended_since(self, at: datetime) -> list[UUID]:
        return [session_id for session_id, ended in self._db.ended.items() if ended >= at]

    async def of_user(self, user_id: UUID, now: datetime) -> list[LoginSession]:
        living = [session for session in self._of(user_id) if session.expires_at > now]
        return sorted(living, key=lambda session: (session.created_at, session.session_id), reverse=True)

    async def prune(self, now: datetime) -> int:
        expired = [item.session_id for item in self._db.sessions.values() if item.expires_at <= now]
        for session_id in expired:
            self._db.remove_session(session_id)
        return len(expired)

    def _of(self, user_id: UUID) -> list[LoginSession]:
        return [session for session in self._db.sessions.values() if session.user_id == user_id]

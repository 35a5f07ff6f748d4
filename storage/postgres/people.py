"""People and their sign-in sessions."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from core.clock import to_ms
from core.errors import CloseCode, NotFound
from storage.base import LoginSession, Rotation, User
from storage.postgres.pool import Pool
from storage.postgres.queries import load, prefix_range
from storage.postgres.together import Together

_USERS = load("users")
_SESSIONS = load("sessions")
_UPTIME = load("uptime")
_NODES = load("nodes")
_LEAST_ID = UUID(int=0)


class PostgresUsers:
    """`UserStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._by_id = Together(self._by_ids)

    async def add(self, user: User) -> bool:
        async with self._pool.connection() as connection:
            return await add_user(connection, user)

    async def by_email(self, email: str) -> User | None:
        row = await self._pool.fetchrow(_USERS["by_email"], email)
        return row and User(**row)

    async def by_id(self, user_id: UUID) -> User | None:
        return await self._by_id.get(user_id)

    async def find(self, words: str, after: UUID | None, limit: int) -> list[User]:
        after = after or _LEAST_ID
        if words:
            rows = await self._pool.fetch(
                _USERS["find"], after, limit, *prefix_range(words), _as_id(words) or _LEAST_ID
            )
        else:
            rows = await self._pool.fetch(_USERS["all"], after, limit)
        return [User(**row) for row in rows]

    async def set_password_hash(self, user_id: UUID, password_hash: str, was: str | None = None) -> None:
        async with self._pool.transaction() as connection:
            if await lock_user(connection, user_id):
                await connection.execute(_USERS["set_password_hash"], user_id, password_hash, was)

    async def set_profile(self, user_id: UUID, display_name: str, locale: str, time_zone: str) -> None:
        await self._pool.fetchrow(_USERS["set_profile"], user_id, display_name, locale, time_zone)

    async def set_role(self, user_id: UUID, role: str) -> bool:
        return await self._pool.fetchrow(_USERS["set_role"], user_id, role) is not None

    async def set_wallet(self, user_id: UUID, wallet: str | None) -> bool:
        async with self._pool.transaction() as connection:
            user = await lock_user(connection, user_id)
            if not user:
                raise NotFound("user_unknown", "There is no such user.")
            if user["wallet"] == wallet:
                return True
            if wallet is not None and not await connection.fetchrow(_USERS["claim_wallet"], user_id, wallet):
                return False
            await connection.execute(_USERS["release_wallet"], user_id, wallet)
            await connection.execute(_USERS["set_wallet"], user_id, wallet)
            return True

    async def erase(self, user_id: UUID, at: datetime) -> bool:
        async with self._pool.transaction() as connection:
            # Whoever applies observations holds this before any node: so do we.
            await connection.fetchval(_UPTIME["lock"])
            if not await lock_user(connection, user_id):
                return False
            await end_sessions(connection, user_id)
            await connection.execute(_NODES["close"], user_id, None, to_ms(at), CloseCode.REVOKED)
            await connection.execute(_USERS["erase"], user_id, at)
            await connection.execute(_UPTIME["grow"])
            return True

    async def _by_ids(self, user_ids: list[UUID]) -> dict[UUID, User]:
        rows = await self._pool.fetch(_USERS["by_ids"], user_ids)
        return {row["user_id"]: User(**row) for row in rows}


class PostgresSessions:
    """`SessionStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, session: LoginSession, password_hash: str | None = None) -> bool:
        async with self._pool.transaction() as connection:
            if password_hash is not None:
                holds = await connection.fetchval(_SESSIONS["password_holds"], session.user_id, password_hash)
                if holds is False:
                    return False
            await connection.execute(
                _SESSIONS["add"],
                session.user_id,
                session.session_id,
                session.token_hash,
                session.device,
                session.address,
                session.created_at,
                session.last_used_at,
                session.expires_at,
            )
            await connection.execute(_SESSIONS["remove_expired"], session.user_id, session.created_at)
            return True

    async def rotate(
        self, token_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime, grace_ms: int
    ) -> Rotation:
        async with self._pool.transaction() as connection:
            whose = await connection.fetchrow(_SESSIONS["whose"], token_hash)
            row = whose and await connection.fetchrow(_SESSIONS["lock"], *whose, now)
            if not row:
                return Rotation("unknown")
            if row["token_hash"] == token_hash:
                row = await connection.fetchrow(
                    _SESSIONS["rotate"], *whose, token_hash, new_hash, now, expires_at
                )
                return Rotation("rotated", LoginSession(**row))
            replaced_at = await connection.fetchval(_SESSIONS["replaced_at"], *whose, token_hash)
            if now - replaced_at < timedelta(milliseconds=grace_ms):
                return Rotation("raced", LoginSession(**row))
            await connection.execute(_SESSIONS["end"], *whose)
            return Rotation("reused", LoginSession(**row))

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        return await self._pool.fetchrow(_SESSIONS["end"], user_id, session_id) is not None

    async def end_all(self, user_id: UUID, but: UUID | None = None) -> list[UUID]:
        async with self._pool.connection() as connection:
            return await end_sessions(connection, user_id, but)

    async def ended_since(self, at: datetime) -> list[UUID]:
        rows = await self._pool.fetch(_SESSIONS["ended_since"], at)
        return [row["session_id"] for row in rows]

    async def of_user(self, user_id: UUID, now: datetime) -> list[LoginSession]:
        rows = await self._pool.fetch(_SESSIONS["of_user"], user_id, now)
        return [LoginSession(**row) for row in rows]

    async def prune(self, now: datetime) -> int:
        async with self._pool.connection() as connection:
            return int(await connection.fetchval(_SESSIONS["prune"], now))


async def add_user(connection: Any, user: User) -> bool:
    """Add `user` in the connection's transaction; false if the address is taken."""
    row = await connection.fetchrow(
        _USERS["add"],
        user.user_id,
        user.email,
        user.display_name,
        user.password_hash,
        user.role,
        user.locale,
        user.time_zone,
        user.created_at,
    )
    return row is not None


async def lock_user(connection: Any, user_id: UUID) -> Any:
    """Have the account to oneself until the transaction ends; its row, or None if there is none.

    Comes before any lock on what belongs to the user, so that nobody waits in a circle.
    """
    return await connection.fetchrow(_USERS["lock"], user_id)


async def end_sessions(connection: Any, user_id: UUID, but: UUID | None = None) -> list[UUID]:
    """End a user's sessions except `but` in the connection's transaction; returns the ended ones."""
    return [row["session_id"] for row in await connection.fetch(_SESSIONS["end_all"], user_id, but)]


async def replace_password(
    connection: Any, user_id: UUID, password_hash: str, was: str | None = None
) -> bool:
    """Replace the password's hash of a locked user in the connection's transaction.

    False, and nothing changed, unless it is `was`, if that is given.
    """
    done: str = await connection.execute(_USERS["set_password_hash"], user_id, password_hash, was)
    return done == "UPDATE 1"


def _as_id(words: str) -> UUID | None:
    try:
        return UUID(words)
    except ValueError:
        return None

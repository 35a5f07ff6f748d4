"""People and their sign-in sessions."""

from datetime import datetime, timedelta
from uuid import UUID

from storage.base import LoginSession, Rotation, User
from storage.postgres.pool import Pool
from storage.postgres.queries import load

_USERS = load("users")
_SESSIONS = load("sessions")


class PostgresUsers:
    """`UserStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, user: User) -> bool:
        row = await self._pool.fetchrow(
            _USERS["add"],
            user.user_id,
            user.email,
            user.display_name,
            user.password_hash,
            user.role,
            user.created_at,
        )
        return row is not None

    async def by_email(self, email: str) -> User | None:
        row = await self._pool.fetchrow(_USERS["by_email"], email)
        return row and User(**row)

    async def by_id(self, user_id: UUID) -> User | None:
        row = await self._pool.fetchrow(_USERS["by_id"], user_id)
        return row and User(**row)

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        await self._pool.fetchrow(_USERS["set_password_hash"], user_id, password_hash)


class PostgresSessions:
    """`SessionStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, session: LoginSession) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(_SESSIONS["remove_expired"], session.user_id, session.created_at)
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

    async def end_all(self, user_id: UUID) -> int:
        return len(await self._pool.fetch(_SESSIONS["end_all"], user_id))

    async def of_user(self, user_id: UUID, now: datetime) -> list[LoginSession]:
        rows = await self._pool.fetch(_SESSIONS["of_user"], user_id, now)
        return [LoginSession(**row) for row in rows]

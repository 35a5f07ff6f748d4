"""What is confirmed by mail, and the mails on their way out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from storage.base import USUAL_BURST, Burst, EmailChange, EmailChanged, Mail, Registration, Reset, Trait, User
from storage.postgres.people import add_user, end_sessions, lock_user, replace_password
from storage.postgres.pool import Pool
from storage.postgres.queries import load
from storage.postgres.referrals import join

_SQL = load("confirmations")
_OUTBOX = load("outbox")


class PostgresOutbox:
    """`Outbox` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, mail: Mail) -> None:
        async with self._pool.connection() as connection:
            await _queue(connection, [mail])

    async def take(self, now: datetime, lease_until: datetime, limit: int) -> list[Mail]:
        async with self._pool.transaction() as connection:
            await connection.execute(_OUTBOX["drop_expired"], now)
            rows = await connection.fetch(_OUTBOX["take"], now, lease_until, limit)
        return [Mail(**row) for row in rows]

    async def sent(self, mail_id: UUID) -> None:
        await self._pool.fetchrow(_OUTBOX["sent"], mail_id)

    async def postpone(self, mail_id: UUID, next_at: datetime) -> None:
        await self._pool.fetchrow(_OUTBOX["postpone"], mail_id, next_at)

    async def waiting(self) -> int:
        row = await self._pool.fetchrow(_OUTBOX["waiting"])
        return int(row["count"])


class PostgresConfirmations:
    """`ConfirmationStore` on PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put_registration(self, registration: Registration, mails: Sequence[Mail]) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(
                _SQL["put_registration"],
                registration.email,
                registration.token_hash,
                registration.display_name,
                registration.password_hash,
                registration.locale,
                registration.referral_code,
                registration.created_at,
                registration.expires_at,
                msgspec.json.encode(registration.traits).decode(),
            )
            await _queue(connection, mails)

    async def register(
        self,
        token_hash: bytes,
        user_id: UUID,
        now: datetime,
        traits: Sequence[Trait] = (),
        burst: Burst = USUAL_BURST,
    ) -> tuple[User, str | None] | None:
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(_SQL["use_registration"], token_hash, now)
            if not row:
                return None
            user = User(
                user_id=user_id,
                email=row["email"],
                display_name=row["display_name"],
                password_hash=row["password_hash"],
                locale=row["locale"],
                created_at=now,
            )
            if not await add_user(connection, user):
                return None
            code, known = row["referral_code"], msgspec.json.decode(row["traits"], type=list[Trait])
            await join(connection, user_id, code, [*known, *traits], now, burst)
            return user, code

    async def put_reset(self, reset: Reset, mails: Sequence[Mail]) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(
                _SQL["put_reset"], reset.user_id, reset.token_hash, reset.created_at, reset.expires_at
            )
            await _queue(connection, mails)

    async def reset_owner(self, token_hash: bytes, now: datetime) -> User | None:
        row = await self._pool.fetchrow(_SQL["reset_owner"], token_hash, now)
        return row and User(**row)

    async def reset(
        self, token_hash: bytes, password_hash: str, now: datetime, mails: Sequence[Mail] = ()
    ) -> list[UUID] | None:
        async with self._pool.transaction() as connection:
            owner = await connection.fetchrow(_SQL["reset_owner"], token_hash, now)
            if not owner:
                return None
            user_id = owner["user_id"]
            await lock_user(connection, user_id)
            if not await connection.fetchrow(_SQL["use_reset"], user_id, token_hash, now):
                return None
            await replace_password(connection, user_id, password_hash)
            await connection.execute(_SQL["drop_email_change"], user_id)
            await _queue(connection, mails)
            return await end_sessions(connection, user_id)

    async def change_password(
        self, user_id: UUID, password_hash: str, was: str, but: UUID | None, mails: Sequence[Mail]
    ) -> list[UUID] | None:
        async with self._pool.transaction() as connection:
            if not await lock_user(connection, user_id):
                return None
            if not await replace_password(connection, user_id, password_hash, was):
                return None
            await connection.execute(_SQL["drop_reset"], user_id)
            await connection.execute(_SQL["drop_email_change"], user_id)
            await _queue(connection, mails)
            return await end_sessions(connection, user_id, but)

    async def put_email_change(self, change: EmailChange, mails: Sequence[Mail]) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(
                _SQL["put_email_change"],
                change.user_id,
                change.new_email,
                change.old_hash,
                change.new_hash,
                change.created_at,
                change.expires_at,
            )
            await _queue(connection, mails)

    async def confirm_email(self, token_hash: bytes, now: datetime) -> EmailChanged:
        async with self._pool.transaction() as connection:
            whose = await connection.fetchrow(_SQL["whose_email_change"], token_hash, now)
            user = whose and await lock_user(connection, whose["user_id"])
            if not user:
                return EmailChanged("unknown")
            user_id, old = whose["user_id"], user["email"]
            change = await connection.fetchrow(_SQL["use_email_change"], user_id, token_hash, now)
            if not change:
                return EmailChanged("unknown")
            new = change["new_email"]
            if not change["complete"]:
                return EmailChanged("half", user_id, old, new)
            await connection.execute(_SQL["drop_email_change"], user_id)
            if not await connection.fetchrow(_SQL["claim_email"], user_id, new):
                return EmailChanged("taken", user_id, old, new)
            await connection.execute(_SQL["release_email"], user_id, new)
            await connection.execute(_SQL["set_email"], user_id, new)
            # A link that lies in the old mailbox must not open the account.
            await connection.execute(_SQL["drop_reset"], user_id)
            return EmailChanged("changed", user_id, old, new)

    async def prune(self, now: datetime) -> int:
        async with self._pool.connection() as connection:
            return int(await connection.fetchval(_SQL["prune"], now))


async def _queue(connection: Any, mails: Sequence[Mail]) -> None:
    for mail in mails:
        await connection.execute(
            _OUTBOX["add"],
            mail.mail_id,
            mail.recipient,
            mail.template,
            mail.body,
            mail.created_at,
            mail.next_at,
            mail.expires_at,
            mail.attempts,
        )

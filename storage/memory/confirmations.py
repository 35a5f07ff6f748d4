"""What is confirmed by mail, and the mails on their way out."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from storage.base import USUAL_BURST, Burst, EmailChange, EmailChanged, Mail, Registration, Reset, Trait, User
from storage.memory.database import MemoryDatabase, require_storable
from storage.memory.referrals import join, see_mailbox


class MemoryOutbox:
    """`Outbox` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add(self, mail: Mail) -> None:
        require_storable(mail)
        self._db.mails[mail.mail_id] = mail

    async def take(self, now: datetime, lease_until: datetime, limit: int) -> list[Mail]:
        due = [mail for mail in self._db.mails.values() if mail.next_at <= now]
        for mail in due:
            if mail.expires_at <= now:
                del self._db.mails[mail.mail_id]
        due = [mail for mail in due if mail.expires_at > now]
        due.sort(key=lambda mail: (mail.next_at, mail.mail_id))
        taken = [replace(mail, next_at=lease_until, attempts=mail.attempts + 1) for mail in due[:limit]]
        self._db.mails.update((mail.mail_id, mail) for mail in taken)
        return taken

    async def sent(self, mail_id: UUID) -> None:
        self._db.mails.pop(mail_id, None)

    async def postpone(self, mail_id: UUID, next_at: datetime) -> None:
        mail = self._db.mails.get(mail_id)
        if mail:
            self._db.mails[mail_id] = replace(mail, next_at=next_at)

    async def waiting(self) -> int:
        return len(self._db.mails)


class MemoryConfirmations:
    """`ConfirmationStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def put_registration(self, registration: Registration, mails: Sequence[Mail]) -> None:
        require_storable(registration, *mails)
        self._db.registrations[registration.email] = registration
        self._queue(mails)

    async def register(
        self,
        token_hash: bytes,
        user_id: UUID,
        now: datetime,
        traits: Sequence[Trait] = (),
        burst: Burst = USUAL_BURST,
    ) -> tuple[User, str | None] | None:
        for found in self._db.registrations.values():
            if found.token_hash == token_hash and found.expires_at > now:
                break
        else:
            return None
        del self._db.registrations[found.email]
        user = User(
            user_id=user_id,
            email=found.email,
            display_name=found.display_name,
            password_hash=found.password_hash,
            locale=found.locale,
            created_at=now,
        )
        if not self._db.add_user(user):
            return None
        see_mailbox(self._db, user_id, user.email)
        join(self._db, user_id, found.referral_code, [*found.traits, *traits], now, burst)
        return user, found.referral_code

    async def put_reset(self, reset: Reset, mails: Sequence[Mail]) -> None:
        require_storable(*mails)
        self._db.require_user(reset.user_id)
        self._db.resets[reset.user_id] = reset
        self._queue(mails)

    async def reset_owner(self, token_hash: bytes, now: datetime) -> User | None:
        reset = self._reset(token_hash, now)
        return self._db.person(reset.user_id) if reset else None

    async def reset(
        self, token_hash: bytes, password_hash: str, now: datetime, mails: Sequence[Mail] = ()
    ) -> list[UUID] | None:
        require_storable(password_hash, *mails)
        reset = self._reset(token_hash, now)
        if not reset:
            return None
        user_id = reset.user_id
        del self._db.resets[user_id]
        self._db.email_changes.pop(user_id, None)
        self._db.users[user_id] = replace(self._db.users[user_id], password_hash=password_hash)
        self._queue(mails)
        return self._db.end_sessions(user_id)

    async def change_password(
        self, user_id: UUID, password_hash: str, was: str, but: UUID | None, mails: Sequence[Mail]
    ) -> list[UUID] | None:
        require_storable(password_hash, *mails)
        user = self._db.users.get(user_id)
        if user is None or user.password_hash != was:
            return None
        self._db.users[user_id] = replace(user, password_hash=password_hash)
        self._db.resets.pop(user_id, None)
        self._db.email_changes.pop(user_id, None)
        self._queue(mails)
        return self._db.end_sessions(user_id, but)

    async def put_email_change(self, change: EmailChange, mails: Sequence[Mail]) -> None:
        require_storable(change, *mails)
        self._db.require_user(change.user_id)
        self._db.email_changes[change.user_id] = change, {change.old_hash, change.new_hash}
        self._queue(mails)

    async def confirm_email(self, token_hash: bytes, now: datetime) -> EmailChanged:
        for change, open_hashes in self._db.email_changes.values():
            if token_hash in open_hashes and change.expires_at > now:
                break
        else:
            return EmailChanged("unknown")
        user = self._db.users[change.user_id]
        facts = user.user_id, user.email, change.new_email
        open_hashes.remove(token_hash)
        if open_hashes:
            return EmailChanged("half", *facts)
        del self._db.email_changes[user.user_id]
        if change.new_email in self._db.emails:
            return EmailChanged("taken", *facts)
        del self._db.emails[user.email]
        self._db.emails[change.new_email] = user.user_id
        see_mailbox(self._db, user.user_id, change.new_email)
        self._db.users[user.user_id] = replace(user, email=change.new_email)
        # A link that lies in the old mailbox must not open the account.
        self._db.resets.pop(user.user_id, None)
        return EmailChanged("changed", *facts)

    async def prune(self, now: datetime) -> int:
        registrations = [item.email for item in self._db.registrations.values() if item.expires_at <= now]
        resets = [item.user_id for item in self._db.resets.values() if item.expires_at <= now]
        changes = [item.user_id for item, _ in self._db.email_changes.values() if item.expires_at <= now]
        for email in registrations:
            del self._db.registrations[email]
        for user_id in resets:
            del self._db.resets[user_id]
        for user_id in changes:
            del self._db.email_changes[user_id]
        return len(registrations) + len(resets) + len(changes)

    def _reset(self, token_hash: bytes, now: datetime) -> Reset | None:
        for reset in self._db.resets.values():
            if reset.token_hash == token_hash and reset.expires_at > now:
                return reset
        return None

    def _queue(self, mails: Sequence[Mail]) -> None:
        self._db.mails.update((mail.mail_id, mail) for mail in mails)

"""Changing one's address, which both the old and the new one have to confirm."""

from datetime import timedelta
from uuid import UUID

from core.clock import Clock
from core.errors import InvalidInput
from services.accounts.addresses import normal_email
from services.accounts.credentials import Credentials
from services.accounts.limits import Limits
from services.accounts.links import hash_of, invalid_link, new_token
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from storage.base import ConfirmationStore, EmailChange, EmailChanged, Outbox, UserStore


class Emails:
    """Changes addresses. Whether the new one has an account already, only the old mailbox is told."""

    def __init__(
        self,
        *,
        users: UserStore,
        confirmations: ConfirmationStore,
        credentials: Credentials,
        limits: Limits,
        letters: Letters,
        outbox: Outbox,
        audit: Audit,
        clock: Clock,
        link_ttl: int,
    ) -> None:
        """`link_ttl` is how long the links serve, in seconds."""
        self._users = users
        self._confirmations = confirmations
        self._credentials = credentials
        self._limits = limits
        self._letters = letters
        self._outbox = outbox
        self._audit = audit
        self._clock = clock
        self._ttl = timedelta(seconds=link_ttl)

    async def ask(self, user_id: UUID, email: str, password: str) -> None:
        """Send a link to both addresses; a change that was asked for before is off.

        Raises:
            InvalidInput: "invalid_input", field "email", also for the address that one has.
            Unauthenticated: "invalid_credentials".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        new = normal_email(email)
        user = await self._credentials.prove(user_id, password)
        if new == user.email:
            raise InvalidInput("invalid_input", "email: This is your address already.", field="email")
        mailing = await self._limits.may_mail(MailKind.EMAIL_NEW, new)
        telling = await self._limits.may_mail(MailKind.EMAIL_OLD, user.email)
        taken = await self._users.by_email(new) is not None
        old_token, new_token_ = new_token(), new_token()
        now = self._clock.now()
        change = EmailChange(
            user_id=user_id,
            new_email=new,
            old_hash=old_token.hashed,
            new_hash=new_token_.hashed,
            created_at=now,
            expires_at=now + self._ttl,
        )
        write = self._letters.write
        facts = {"name": user.display_name, "new_email": new}
        if not (mailing and telling):
            letters = [self._letters.decoy(user.email), self._letters.decoy(new)]
        elif taken:
            letters = [
                write(MailKind.EMAIL_TAKEN, user.email, self._ttl, **facts),
                self._letters.decoy(new),
            ]
        else:
            letters = [
                write(MailKind.EMAIL_OLD, user.email, self._ttl, token=old_token.text, **facts),
                write(MailKind.EMAIL_NEW, new, self._ttl, token=new_token_.text),
            ]
        await self._confirmations.put_email_change(change, letters)
        await self._audit.note(Kind.EMAIL_ASKED, user_id=user_id)

    async def confirm(self, token: str, address: str = "") -> EmailChanged:
        """Confirm a change for the address that `token` went to; the outcome is "half" or "changed".

        Raises:
            InvalidInput: "link_invalid".
            TooManyRequests: "too_many_attempts".
        """
        await self._limits.ask("confirm-email", address)
        done = await self._confirmations.confirm_email(hash_of(token), self._clock.now())
        user = await self._users.by_id(done.user_id) if done.user_id else None
        if user is None or done.outcome == "unknown":
            raise invalid_link()
        facts = {"name": user.display_name, "new_email": done.new_email}
        if done.outcome == "taken":
            await self._outbox.add(self._letters.notice(MailKind.EMAIL_TAKEN, done.old_email, **facts))
            raise invalid_link()
        if done.outcome == "half":
            await self._audit.note(Kind.EMAIL_CONFIRMED, user_id=user.user_id)
            return done
        await self._audit.note(Kind.EMAIL_CHANGED, user_id=user.user_id)
        facts["old_email"] = done.old_email
        for recipient in (done.old_email, done.new_email):
            await self._outbox.add(self._letters.notice(MailKind.EMAIL_CHANGED, recipient, **facts))
        return done

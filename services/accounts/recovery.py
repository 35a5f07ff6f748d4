"""Passwords that were forgotten, and replaced by a link that came by mail."""

from datetime import timedelta

from core.clock import Clock
from services.accounts.addresses import normal_email
from services.accounts.limits import Limits
from services.accounts.links import hash_of, invalid_link, new_token
from services.accounts.new_passwords import NewPasswords
from services.accounts.registration import Registrar
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from services.sessions import Sessions
from storage.base import ConfirmationStore, Reset, UserStore


class Recovery:
    """Lets people choose a new password. The second factor stays needed at the next sign-in."""

    def __init__(
        self,
        *,
        users: UserStore,
        confirmations: ConfirmationStore,
        new_passwords: NewPasswords,
        registrar: Registrar,
        sessions: Sessions,
        limits: Limits,
        letters: Letters,
        audit: Audit,
        clock: Clock,
        reset_ttl: int,
    ) -> None:
        """`reset_ttl` is how long a link serves, in seconds."""
        self._users = users
        self._confirmations = confirmations
        self._new_passwords = new_passwords
        self._registrar = registrar
        self._sessions = sessions
        self._limits = limits
        self._letters = letters
        self._audit = audit
        self._clock = clock
        self._ttl = timedelta(seconds=reset_ttl)

    async def forgot(self, email: str, address: str = "") -> None:
        """Send a link to whoever has an account with `email`; nobody else notices.

        Raises:
            InvalidInput: "invalid_input", field "email".
            TooManyRequests: "too_many_attempts".
        """
        recipient = normal_email(email)
        await self._limits.ask("forgot", address)
        mailing = await self._limits.may_mail(MailKind.RESET, recipient)
        user = await self._users.by_email(recipient)
        if user is not None and mailing:
            now = self._clock.now()
            token = new_token()
            reset = Reset(
                token_hash=token.hashed, user_id=user.user_id, created_at=now, expires_at=now + self._ttl
            )
            letter = self._letters.write(
                MailKind.RESET, recipient, self._ttl, token=token.text, name=user.display_name
            )
            await self._confirmations.put_reset(reset, [letter])
        else:
            registration, letter = self._registrar.decoy(recipient)
            await self._confirmations.put_registration(registration, [letter])
        await self._audit.note(Kind.PASSWORD_FORGOTTEN, user_id=user.user_id if user else None)

    async def reset(self, token: str, password: str, address: str = "") -> None:
        """Replace the password of whom `token` belongs to; all their sessions end.

        Raises:
            InvalidInput: "link_invalid"; "invalid_input" or "password_common", and the link stays good.
            TooManyRequests: "too_many_attempts" or "busy".
        """
        await self._limits.ask("reset", address)
        hashed = hash_of(token)
        owner = await self._confirmations.reset_owner(hashed, self._clock.now())
        if owner is None:
            raise invalid_link()
        secret = self._new_passwords.acceptable(password, owner.email, owner.display_name)
        password_hash = await self._new_passwords.hash(secret)
        letter = self._letters.notice(MailKind.PASSWORD_CHANGED, owner.email, name=owner.display_name)
        ended = await self._confirmations.reset(hashed, password_hash, self._clock.now(), [letter])
        if ended is None:
            raise invalid_link()
        self._sessions.were_ended(owner.user_id, ended)
        await self._audit.note(Kind.PASSWORD_RESET, user_id=owner.user_id, sessions=len(ended))
        await self._limits.remember(owner.email, address)

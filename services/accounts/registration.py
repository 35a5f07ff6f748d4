"""How an account comes to be: asked for, confirmed by mail, made."""

import secrets
from datetime import timedelta

from core.clock import Clock, new_id
from services.accounts.addresses import normal_email
from services.accounts.limits import Limits
from services.accounts.links import hash_of, invalid_link, new_token
from services.accounts.locales import normal_locale
from services.accounts.new_passwords import NewPasswords
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from services.names import NAME_LENGTH, clean_name
from services.referrals import Referrals
from storage.base import ConfirmationStore, Mail, Registration, User, UserStore


class Registrar:
    """Registers people.

    Whoever asks learns nothing of who has an account: the same is answered after the same work, and only
    the mailbox tells. Until its address is confirmed there is no account and nothing that others could
    run into.
    """

    def __init__(
        self,
        *,
        users: UserStore,
        confirmations: ConfirmationStore,
        new_passwords: NewPasswords,
        limits: Limits,
        referrals: Referrals,
        letters: Letters,
        audit: Audit,
        clock: Clock,
        link_ttl: int,
    ) -> None:
        """`link_ttl` is how long a link that confirms an address serves, in seconds."""
        self._users = users
        self._confirmations = confirmations
        self._new_passwords = new_passwords
        self._limits = limits
        self._referrals = referrals
        self._letters = letters
        self._audit = audit
        self._clock = clock
        self._link_ttl = timedelta(seconds=link_ttl)

    async def register(
        self,
        email: str,
        password: str,
        *,
        display_name: str | None = None,
        referral_code: str | None = None,
        locale: str | None = None,
        address: str = "",
        browser: str | None = None,
    ) -> None:
        """Ask for an account; without `display_name` the part of `email` before the @ serves.

        A mail goes to `email`: a link that makes the account, or word that there is one already.
        `address` is where the request comes from, `browser` what it names itself.

        Raises:
            InvalidInput: "invalid_input" naming the field, so when there is no such code; or
                "password_common".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        recipient = normal_email(email)
        local = recipient.partition("@")[0]
        name = clean_name(display_name or local[:NAME_LENGTH], "display_name")
        language = normal_locale(locale or "en")
        secret = self._new_passwords.acceptable(password, recipient, name)
        await self._limits.ask("register", address)
        code = None if referral_code is None else await self._referrals.asked_for(referral_code)
        mailing = await self._limits.may_mail(MailKind.VERIFY, recipient)
        password_hash = await self._new_passwords.hash(secret)
        taken = await self._users.by_email(recipient) is not None
        now = self._clock.now()
        token = new_token()
        registration = Registration(
            token_hash=token.hashed,
            email=recipient,
            display_name=name,
            password_hash=password_hash,
            locale=language,
            referral_code=code,
            traits=self._referrals.traits(email=recipient, address=address, browser=browser),
            created_at=now,
            expires_at=now + self._link_ttl,
        )
        if not mailing:
            registration, letter = self.decoy(recipient)
        elif taken:
            registration, _ = self.decoy(recipient)
            letter = self._letters.write(MailKind.ALREADY_REGISTERED, recipient, self._link_ttl)
        else:
            letter = self._letters.write(MailKind.VERIFY, recipient, self._link_ttl, token=token.text)
        await self._confirmations.put_registration(registration, [letter])
        if code is not None:
            # Whatever comes of it: else it would tell who has an account.
            await self._referrals.signed_up(code)
        await self._audit.note(Kind.REGISTERED)

    async def verify(self, token: str, address: str = "") -> User:
        """Make the account whose address `token` confirms.

        Raises:
            InvalidInput: "link_invalid".
            TooManyRequests: "too_many_attempts".
        """
        await self._limits.ask("verify", address)
        made = await self._confirmations.register(
            hash_of(token),
            new_id(),
            self._clock.now(),
            self._referrals.traits(address=address),
            self._referrals.burst,
        )
        if made is None:
            raise invalid_link()
        user, referral_code = made
        await self._audit.note(Kind.VERIFIED, user_id=user.user_id, referral_code=referral_code)
        await self._limits.remember(user.email, address)
        return user

    def decoy(self, recipient: str) -> tuple[Registration, Mail]:
        """What is stored where nothing is to be: it takes the same time, has run out and is pruned."""
        now = self._clock.now()
        token = new_token()
        registration = Registration(
            token_hash=token.hashed,
            email=f"{secrets.token_hex(16)}@decoy.invalid",
            display_name="",
            password_hash="",
            locale="en",
            referral_code=None,
            created_at=now,
            expires_at=now,
        )
        return registration, self._letters.decoy(recipient)

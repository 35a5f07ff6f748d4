"""What is confirmed by mail: links that serve once, and the mails that carry them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from storage.base.people import User
from storage.base.referrals import USUAL_BURST, Burst, Trait


class Mail(Struct, frozen=True, kw_only=True):
    """A mail that waits to be sent.

    `body` is sealed: it holds links that serve as keys. `next_at` is when to try, `expires_at` when
    it is no use any more.
    """

    mail_id: UUID
    recipient: str
    template: str
    body: bytes
    created_at: datetime
    next_at: datetime
    expires_at: datetime
    attempts: int = 0


class Outbox(Protocol):
    """Mails on their way out. Delivery is at least once."""

    async def add(self, mail: Mail) -> None:
        """Queue a mail."""
        ...

    async def take(self, now: datetime, lease_until: datetime, limit: int) -> list[Mail]:
        """Mails that are due, oldest first; none of them is due again before `lease_until`.

        Each counts one attempt more. Expired ones are dropped instead.
        """
        ...

    async def sent(self, mail_id: UUID) -> None:
        """It left: forget it."""
        ...

    async def postpone(self, mail_id: UUID, next_at: datetime) -> None:
        """It did not leave: try again at `next_at`."""
        ...

    async def waiting(self) -> int:
        """How many mails wait."""
        ...


class Registration(Struct, frozen=True, kw_only=True):
    """An account that comes to be when its address is confirmed.

    `referral_code` is in the form that look-ups compare; `traits` are what whoever asks is recognised by.
    """

    token_hash: bytes
    email: str
    display_name: str
    password_hash: str
    locale: str
    referral_code: str | None
    traits: list[Trait] = []
    created_at: datetime
    expires_at: datetime


class Reset(Struct, frozen=True, kw_only=True):
    """A forgotten password that may be replaced."""

    token_hash: bytes
    user_id: UUID
    created_at: datetime
    expires_at: datetime


class EmailChange(Struct, frozen=True, kw_only=True):
    """A change of address that both addresses have to confirm, each with a token of its own."""

    user_id: UUID
    new_email: str
    old_hash: bytes
    new_hash: bytes
    created_at: datetime
    expires_at: datetime


class EmailChanged(Struct, frozen=True):
    """What a confirmation of a change did.

    `outcome` is "unknown" (no such token, or expired), "half" (the other address is still to confirm),
    "changed", or "taken" (somebody else has the address by now; the change is off).
    """

    outcome: str
    user_id: UUID | None = None
    old_email: str = ""
    new_email: str = ""


class ConfirmationStore(Protocol):
    """Pending confirmations. Tokens are 32 random bytes, kept as SHA-256; each serves once.

    A newer one of the same kind for the same address (`Registration`) or user (`Reset`, `EmailChange`)
    replaces the older. With `mails` those are queued in the same transaction.
    """

    async def put_registration(self, registration: Registration, mails: Sequence[Mail]) -> None:
        """Remember a registration."""
        ...

    async def register(
        self,
        token_hash: bytes,
        user_id: UUID,
        now: datetime,
        traits: Sequence[Trait] = (),
        burst: Burst = USUAL_BURST,
    ) -> tuple[User, str | None] | None:
        """Make the account that `token_hash` confirms; returns it and its referral code.

        With it comes its referral, if the code is there still, and what speaks against that: by `traits`,
        the registration's own, and `burst`. None, if there is no such registration, it expired, or somebody
        has the address by now.
        """
        ...

    async def put_reset(self, reset: Reset, mails: Sequence[Mail]) -> None:
        """Remember that a password may be reset."""
        ...

    async def reset_owner(self, token_hash: bytes, now: datetime) -> User | None:
        """Whose password `token_hash` may replace, without using it up."""
        ...

    async def reset(
        self, token_hash: bytes, password_hash: str, now: datetime, mails: Sequence[Mail] = ()
    ) -> list[UUID] | None:
        """Replace the password, end all sessions of the user; returns the ended sessions.

        A pending change of address is off as well.
        None, and nothing changed, if there is no such reset or it expired.
        """
        ...

    async def change_password(
        self, user_id: UUID, password_hash: str, was: str, but: UUID | None, mails: Sequence[Mail]
    ) -> list[UUID] | None:
        """Replace the password's hash `was`, end all sessions except `but`; returns the ended ones.

        A pending reset and a pending change of address are off as well. None, and nothing changed, if
        `was` is not the hash (any more).
        """
        ...

    async def put_email_change(self, change: EmailChange, mails: Sequence[Mail]) -> None:
        """Remember a change of address."""
        ...

    async def confirm_email(self, token_hash: bytes, now: datetime) -> EmailChanged:
        """Confirm a change for one of the two addresses; the second makes it.

        A pending reset of the password is off then: its link lies in the old mailbox.
        """
        ...

    async def prune(self, now: datetime) -> int:
        """Drop what has expired; returns how many."""
        ...

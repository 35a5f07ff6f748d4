"""People and their sign-in sessions."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from msgspec import Struct


class User(Struct, frozen=True, kw_only=True):
    """A person.

    `email` is normalised, unique and was confirmed; `role` is user, support or operator; `locale` is a
    BCP 47 tag, `time_zone` an IANA name; `wallet` is a checksummed EIP-55 address, unique.
    """

    user_id: UUID
    email: str
    display_name: str
    password_hash: str
    role: str = "user"
    locale: str = "en"
    time_zone: str = "UTC"
    wallet: str | None = None
    second_factor: bool = False
    created_at: datetime


class UserStore(Protocol):
    """The people. An erased account is found by nothing but the ledger."""

    async def add(self, user: User) -> bool:
        """Add `user`, without wallet and second factor; false, and nothing changed, if the address is taken.

        Of concurrent calls for one address exactly one returns true.
        """
        ...

    async def by_email(self, email: str) -> User | None:
        """The user with this normalised address."""
        ...

    async def by_id(self, user_id: UUID) -> User | None:
        """The user with this id."""
        ...

    async def find(self, words: str, after: UUID | None, limit: int) -> list[User]:
        """Users by id, at most `limit`, those behind `after`.

        With `words` only those whose address begins with it or whose id it is.
        """
        ...

    async def set_password_hash(self, user_id: UUID, password_hash: str, was: str | None = None) -> None:
        """Replace the password's hash; with `was` only if that is what it is still.

        Sessions that are being added for the hash before (`SessionStore.add`) are there once this returns.
        """
        ...

    async def set_profile(self, user_id: UUID, display_name: str, locale: str, time_zone: str) -> None:
        """Replace what a person says of themselves."""
        ...

    async def set_role(self, user_id: UUID, role: str) -> bool:
        """Replace the role; false if there is no such user."""
        ...

    async def set_wallet(self, user_id: UUID, wallet: str | None) -> bool:
        """Link a wallet, or none; false, and nothing changed, if another user has it.

        Of concurrent calls for one wallet exactly one is true.
        """
        ...

    async def erase(self, user_id: UUID, at: datetime) -> bool:
        """Delete an account for good; false if there is none.

        The address, name, password, wallet, second factor, sessions, pending confirmations, node names,
        node keys and addresses seen are gone; the id stays as a pseudonym for what the ledger holds
        (measured uptime stays, and stays in the network's totals). The nodes are offline and unknown.
        The address, the wallet and the node keys are free again. Nothing can be added for the id.
        """
        ...


class LoginSession(Struct, frozen=True, kw_only=True):
    """One sign-in of a person. `token_hash` is SHA-256 of the current refresh token (32 bytes)."""

    user_id: UUID
    session_id: UUID
    token_hash: bytes
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class Rotation(Struct, frozen=True):
    """The outcome of `SessionStore.rotate`.

    `outcome` is "rotated"; "unknown" (no living session has or had this token); "raced" (the token
    was replaced less than the grace ago: the newer one is on its way); or "reused" (it was replaced
    before that: the session was ended by this call).
    """

    outcome: str
    session: LoginSession | None = None


class SessionStore(Protocol):
    """Sign-in sessions and their rotating refresh tokens."""

    async def add(self, session: LoginSession, password_hash: str | None = None) -> bool:
        """Start a session; with `password_hash` only if that still is the hash of the user's password.

        False, and nothing changed, if it is not: a sign-in that began before the password was replaced
        cannot outlive that.
        """
        ...

    async def rotate(
        self, token_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime, grace_ms: int
    ) -> Rotation:
        """Replace the refresh token `token_hash` by `new_hash`.

        Every token that a session ever had is remembered for as long as the session lives. Of
        concurrent calls with the same token exactly one is "rotated".
        """
        ...

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """End a session for good; false if it is not this user's or already gone."""
        ...

    async def end_all(self, user_id: UUID, but: UUID | None = None) -> list[UUID]:
        """End all sessions of a user except `but`; returns the ended ones."""
        ...

    async def ended_since(self, at: datetime) -> list[UUID]:
        """The sessions that were ended, in whatever way, at `at` or later.

        Times are the store's own. Remembered for a day at least; what merely ran out is not among them.
        """
        ...

    async def prune(self, now: datetime) -> int:
        """Drop sessions that ran out and endings that need not be remembered; returns how many."""
        ...

    async def of_user(self, user_id: UUID, now: datetime) -> list[LoginSession]:
        """The living sessions of a user, the newest first."""
        ...

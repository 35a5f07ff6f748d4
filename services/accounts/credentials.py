"""Proofs of who one is, asked for again before what matters."""

import unicodedata
from uuid import UUID

from core.errors import Unauthenticated
from services.accounts.codes import Codes
from services.accounts.limits import Limits
from services.passwords import Passwords
from storage.base import User, UserStore


class Credentials:
    """Lets signed-in people show password and code."""

    def __init__(self, *, users: UserStore, passwords: Passwords, codes: Codes, limits: Limits) -> None:
        self._users = users
        self._passwords = passwords
        self._codes = codes
        self._limits = limits

    async def person(self, user_id: UUID) -> User:
        """The person whose account this is.

        Raises:
            Unauthenticated: "token_invalid" when the account is gone.
        """
        user = await self._users.by_id(user_id)
        if user is None:
            raise Unauthenticated("token_invalid", "This account does not exist any more.")
        return user

    async def prove(self, user_id: UUID, password: str) -> User:
        """The person, who shows the password.

        Raises:
            Unauthenticated: "token_invalid" or "invalid_credentials".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        user = await self._shown(user_id, password)
        await self._limits.proved(user_id)
        return user

    async def prove_fully(self, user_id: UUID, password: str, code: str | None) -> User:
        """The person, who shows the password and, where there is a second factor, a code of it.

        Raises:
            Unauthenticated: "token_invalid", "invalid_credentials", "second_factor_required" or
                "second_factor_invalid".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        user = await self._shown(user_id, password)
        await self._codes.demand(user, code)
        await self._limits.proved(user_id)
        return user

    async def _shown(self, user_id: UUID, password: str) -> User:
        user = await self.person(user_id)
        await self._limits.prove(user_id)
        if not await self._passwords.verify(user.password_hash, normal_password(password)):
            raise Unauthenticated("invalid_credentials", "The password is wrong.")
        return user


def normal_password(password: str) -> str:
    """`password` as it is hashed: the same however the keyboard composed it (NFC)."""
    return unicodedata.normalize("NFC", password)

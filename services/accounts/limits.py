"""How often somebody may try: bounded for those who guess, never for good for those whose account it is."""

import hashlib
from math import ceil
from typing import Final, Literal
from uuid import UUID

from core.address import subscriber
from core.errors import TooManyRequests
from storage.base import Limit, Throttle

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: Sign-ins from one network address, whatever the account: a house full of people may sign in.
FROM_ADDRESS: Final = Limit(60, 10_000)
#: Sign-ins to one account by strangers together, and by each address that signed in to it before.
TO_ACCOUNT: Final = Limit(10, MINUTE)
#: An address that signed in is remembered for so long.
REMEMBERED: Final = Limit(1, 30 * DAY)
#: Proofs of password or code by somebody who is signed in.
PROOFS: Final = Limit(10, MINUTE)
#: Registrations, and requests to reset a password, from one network address.
ASKING: Final = Limit(20, MINUTE)
#: Links tried from one network address: nobody can guess one, but each costs a look.
LINKS: Final = Limit(30, 10_000)
#: Mails of one kind to one address: three, and one an hour after that.
MAILS: Final = Limit(3, HOUR)

Ask = Literal["register", "forgot", "verify", "reset", "confirm-email"]


class Limits:
    """Counts attempts, over all processes together.

    Strangers share one count per account, so that guessing from many addresses does not help. An
    address from which somebody signed in, or proved to own the mailbox, has a count of its own for that
    account: strangers who use up theirs do not keep the owner out.
    """

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle

    async def sign_in(self, email: str, address: str) -> str:
        """Count an attempt to sign in; returns where it was counted, for `signed_in`.

        Raises:
            TooManyRequests: "too_many_attempts".
        """
        unit, account = subscriber(address), _digest(email)
        await self._count(f"login:from:{unit}", FROM_ADDRESS)
        stranger = (await self._throttle.peek(f"login:seen:{account}:{unit}", REMEMBERED)).allowed
        counted = f"login:to:{account}" if stranger else f"login:to:{account}:{unit}"
        await self._count(counted, TO_ACCOUNT)
        return counted

    async def signed_in(self, counted: str, email: str, address: str) -> None:
        """The attempt was good: forgive those before it, and remember the address."""
        await self._throttle.forgive(counted)
        await self.remember(email, address)

    async def remember(self, email: str, address: str) -> None:
        """From `address` came somebody who showed that the account with `email` is theirs."""
        key = f"login:seen:{_digest(email)}:{subscriber(address)}"
        await self._throttle.forgive(key)
        await self._throttle.hit(key, REMEMBERED)

    async def ask(self, what: Ask, address: str) -> None:
        """Count a request of somebody who is not signed in.

        Raises:
            TooManyRequests: "too_many_attempts".
        """
        limit = ASKING if what in {"register", "forgot"} else LINKS
        await self._count(f"ask:{what}:{subscriber(address)}", limit)

    async def may_mail(self, kind: str, email: str) -> bool:
        """Count a mail of this kind to `email`; false if the address has had enough of them."""
        return (await self._throttle.hit(f"mail:{kind}:{_digest(email)}", MAILS)).allowed

    async def prove(self, user_id: UUID) -> None:
        """Count a password or code of somebody who is signed in; `proved` forgives.

        Raises:
            TooManyRequests: "too_many_attempts".
        """
        await self._count(f"prove:{user_id}", PROOFS)

    async def proved(self, user_id: UUID) -> None:
        """It was right."""
        await self._throttle.forgive(f"prove:{user_id}")

    async def once(self, what: str, milliseconds: int) -> bool:
        """Whether this is the first call for `what` in this time."""
        return (await self._throttle.hit(f"once:{what}", Limit(1, milliseconds))).allowed

    async def _count(self, key: str, limit: Limit) -> None:
        verdict = await self._throttle.hit(key, limit)
        if not verdict.allowed:
            raise TooManyRequests(
                "too_many_attempts",
                "Too many attempts. Wait a while.",
                retry_after=max(1, ceil(verdict.retry_ms / 1000)),
            )


def _digest(email: str) -> str:
    """Addresses of people do not lie about in a cache."""
    return hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()[:32]

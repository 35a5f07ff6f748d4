"""Signing in: password, second factor, and a session."""

from msgspec.structs import replace

from core.errors import InvalidInput, Refusal, TooManyRequests, Unauthenticated
from services.accounts.addresses import normal_email
from services.accounts.codes import Codes
from services.accounts.credentials import normal_password
from services.accounts.limits import MINUTE, Limits
from services.audit import Audit, Kind
from services.passwords import Passwords
from services.referrals import Referrals
from services.sessions import Sessions, SignIn
from storage.base import User, UserStore


class SignIns:
    """Opens sessions for who knows the password, and the code where there is a second factor.

    An unknown address, one that was not confirmed and a wrong password get the same answer after the
    same work.
    """

    def __init__(
        self,
        *,
        users: UserStore,
        sessions: Sessions,
        passwords: Passwords,
        codes: Codes,
        limits: Limits,
        referrals: Referrals,
        audit: Audit,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._codes = codes
        self._limits = limits
        self._referrals = referrals
        self._audit = audit

    async def sign_in(
        self,
        email: str,
        password: str,
        code: str | None = None,
        *,
        device: str = "",
        address: str = "",
        browser: str | None = None,
    ) -> SignIn:
        """Open a session; `device` and `address` help the owner to recognise it later.

        `browser` is the name that it was given when it was here before.

        Raises:
            Unauthenticated: "invalid_credentials", "second_factor_required" or "second_factor_invalid".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        account = _normal(email)
        counted = await self._count(account or email, address)
        user = await self._users.by_email(account)
        secret = normal_password(password)
        good = await self._passwords.verify(user.password_hash if user else None, secret)
        if user is None or not good:
            await self._failed(user, "password")
            raise Unauthenticated("invalid_credentials", "The e-mail address or the password is wrong.")
        try:
            await self._codes.demand(user, code)
        except Refusal as refused:
            if refused.code == "second_factor_invalid":
                await self._failed(user, "code")
            raise
        user = await self._rehashed(user, secret)
        sign_in = await self._sessions.open(user, device, address)
        await self._audit.note(Kind.LOGIN_OK, user_id=user.user_id, second_factor=user.second_factor)
        await self._limits.signed_in(counted, account, address)
        await self._referrals.seen(user.user_id, address, browser)
        return sign_in

    async def _count(self, account: str, address: str) -> str:
        try:
            return await self._limits.sign_in(account, address)
        except TooManyRequests:
            # Once is enough: the log is not for those to fill who are kept out.
            if await self._limits.once(f"throttled:{address}", MINUTE):
                await self._audit.note(Kind.LOGIN_THROTTLED)
            raise

    async def _failed(self, user: User | None, what: str) -> None:
        await self._audit.note(Kind.LOGIN_FAILED, user_id=user.user_id if user else None, what=what)

    async def _rehashed(self, user: User, secret: str) -> User:
        """`user` with a hash of today's cost."""
        if not self._passwords.outdated(user.password_hash):
            return user
        renewed = await self._passwords.hash(secret)
        await self._users.set_password_hash(user.user_id, renewed, user.password_hash)
        return replace(user, password_hash=renewed)


def _normal(email: str) -> str:
    """The address as an account has it; what is none takes the same way, to nobody."""
    try:
        return normal_email(email)
    except InvalidInput:
        return ""

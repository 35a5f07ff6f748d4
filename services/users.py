"""People: sign-up, sign-in and the sessions behind it."""

import hashlib
import secrets
import unicodedata
from datetime import datetime, timedelta

from email_validator import validate_email
from msgspec import Struct

from core.clock import Clock, new_id
from core.errors import Conflict, InvalidInput, Unauthenticated
from core.logs import get_logger
from services.names import NAME_LENGTH, clean_name, label
from services.passwords import Passwords
from services.tokens import Principal, Tokens
from storage.base import LoginSession, SessionStore, User, UserStore

PASSWORD_MIN = 12
PASSWORD_MAX = 128
EMAIL_MAX = 254
REFRESH_BYTES = 32
# Two tabs that refresh at the same moment are no theft.
REFRESH_GRACE_MS = 10_000

log = get_logger("users")


class SignIn(Struct, frozen=True, kw_only=True):
    """An open session: who, the access token and the refresh token that replaces it once."""

    user: User
    access_token: str
    expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime


class Users:
    """Accounts and their sign-in sessions.

    A session lives `refresh_ttl` seconds from its last use. Its refresh token serves once; the one
    that replaces it comes with every renewal.
    """

    def __init__(  # noqa: PLR0917  # collaborators one by one; that is the injection
        self,
        users: UserStore,
        sessions: SessionStore,
        passwords: Passwords,
        tokens: Tokens,
        clock: Clock,
        refresh_ttl: int,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._clock = clock
        self._refresh_ttl = timedelta(seconds=refresh_ttl)

    async def register(self, email: str, password: str, display_name: str | None = None) -> User:
        """Make an account; without `display_name` the part of the address before the @ serves.

        Raises:
            InvalidInput: "invalid_input", naming the field.
            Conflict: "email_taken".
        """
        address = normal_email(email)
        name = clean_name(display_name or address.partition("@")[0][:NAME_LENGTH], "display_name")
        user = User(
            user_id=new_id(),
            email=address,
            display_name=name,
            password_hash=await self._passwords.hash(_new_password(password)),
            created_at=self._clock.now(),
        )
        if not await self._users.add(user):
            raise Conflict("email_taken", "There is an account with this e-mail address already.")
        return user

    async def login(self, email: str, password: str, device: str, address: str) -> SignIn:
        """Open a session; `device` and `address` help the owner to recognise it later.

        Raises:
            Unauthenticated: "invalid_credentials", the same for an unknown address and a wrong password.
        """
        user = await self._find(email)
        secret = unicodedata.normalize("NFC", password)
        known = await self._passwords.verify(user.password_hash if user else None, secret)
        if user is None or not known:
            raise Unauthenticated("invalid_credentials", "The e-mail address or the password is wrong.")
        if self._passwords.outdated(user.password_hash):
            await self._users.set_password_hash(user.user_id, await self._passwords.hash(secret))
        refresh_token = secrets.token_urlsafe(REFRESH_BYTES)
        now = self._clock.now()
        session = LoginSession(
            user_id=user.user_id,
            session_id=new_id(),
            token_hash=_token_hash(refresh_token),
            device=label(device),
            address=label(address),
            created_at=now,
            last_used_at=now,
            expires_at=now + self._refresh_ttl,
        )
        await self._sessions.add(session)
        return self._sign_in(user, session, refresh_token)

    async def refresh(self, refresh_token: str) -> SignIn:
        """Replace `refresh_token` and get a fresh access token.

        Raises:
            Unauthenticated: "refresh_invalid"; "refresh_reused" when the token was replaced before,
                which ends the session, because one of the two who hold the token is a thief.
            Conflict: "refresh_raced" when it was replaced a moment ago; nothing ends, use the newer.
        """
        replacement = secrets.token_urlsafe(REFRESH_BYTES)
        now = self._clock.now()
        rotation = await self._sessions.rotate(
            _token_hash(refresh_token),
            _token_hash(replacement),
            now,
            now + self._refresh_ttl,
            REFRESH_GRACE_MS,
        )
        if rotation.outcome == "raced":
            raise Conflict("refresh_raced", "This refresh token was replaced just now; use the newer one.")
        if rotation.outcome == "reused":
            log.warning("a refresh token was used twice: session ended")
            raise Unauthenticated(
                "refresh_reused", "This refresh token was used before; the session has ended. Sign in again."
            )
        session = rotation.session
        user = await self._users.by_id(session.user_id) if session else None
        if session is None or user is None:
            raise Unauthenticated("refresh_invalid", "The session has ended. Sign in again.")
        return self._sign_in(user, session, replacement)

    async def logout(self, principal: Principal) -> None:
        """End the session that the principal's token came from; ending it twice is no error."""
        if principal.session_id is not None:
            await self._sessions.end(principal.user_id, principal.session_id)

    async def forget(self, refresh_token: str) -> None:
        """End the session that `refresh_token` belongs to, if there is one."""
        now = self._clock.now()
        spent = secrets.token_urlsafe(REFRESH_BYTES)
        rotation = await self._sessions.rotate(
            _token_hash(refresh_token), _token_hash(spent), now, now, REFRESH_GRACE_MS
        )
        if rotation.session is not None:
            await self._sessions.end(rotation.session.user_id, rotation.session.session_id)

    async def profile(self, principal: Principal) -> User:
        """The person that the principal is.

        Raises:
            Unauthenticated: "token_invalid" when the account is gone.
        """
        user = await self._users.by_id(principal.user_id)
        if user is None:
            raise Unauthenticated("token_invalid", "This account does not exist any more.")
        return user

    async def _find(self, email: str) -> User | None:
        try:
            address = normal_email(email)
        except InvalidInput:
            return None
        return await self._users.by_email(address)

    def _sign_in(self, user: User, session: LoginSession, refresh_token: str) -> SignIn:
        access_token, expires_at = self._tokens.for_user(user.user_id, session.session_id, user.role)
        return SignIn(
            user=user,
            access_token=access_token,
            expires_at=expires_at,
            refresh_token=refresh_token,
            refresh_expires_at=session.expires_at,
        )


def normal_email(email: str) -> str:
    """`email` in the one form under which an account has it: valid, NFC, without case.

    Raises:
        InvalidInput: "invalid_input", field "email".
    """
    if len(email) > EMAIL_MAX:
        raise InvalidInput("invalid_input", "email: The address is too long.", field="email")
    try:
        normalized = validate_email(email, check_deliverability=False).normalized
    except ValueError as error:
        reason = "The address has characters that are no text." if isinstance(error, UnicodeError) else error
        raise InvalidInput("invalid_input", f"email: {reason}", field="email") from error
    return unicodedata.normalize("NFC", normalized.casefold())


def _new_password(password: str) -> str:
    secret = unicodedata.normalize("NFC", password)
    if not PASSWORD_MIN <= len(secret) <= PASSWORD_MAX:
        raise InvalidInput(
            "invalid_input",
            f"password: must have {PASSWORD_MIN} to {PASSWORD_MAX} characters.",
            field="password",
        )
    return secret


def _token_hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()

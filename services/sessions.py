"""Sign-in sessions: opened, renewed, listed and ended."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from core.clock import Clock, new_id
from core.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from core.logs import get_logger
from services.audit import Audit, Kind
from services.names import label
from services.revocations import Revoked, mark
from services.tokens import Principal, Tokens
from storage.base import LoginSession, SessionStore, User, UserStore

REFRESH_BYTES = 32
# Two tabs that refresh at the same moment are no theft.
REFRESH_GRACE_MS = 10_000
PAGE_MAX = 200

log = get_logger("sessions")


class SignIn(Struct, frozen=True, kw_only=True):
    """An open session: who, the access token and the refresh token that replaces it once."""

    user: User
    access_token: str
    expires_at: datetime
    refresh_token: str
    refresh_expires_at: datetime


class Sessions:
    """The sign-in sessions of all people.

    A session lives `refresh_ttl` seconds from its last use. Its refresh token serves once; the one
    that replaces it comes with every renewal. What ends is durable when the call returns, and `ended`
    was told of it.
    """

    def __init__(
        self,
        *,
        sessions: SessionStore,
        users: UserStore,
        tokens: Tokens,
        audit: Audit,
        clock: Clock,
        refresh_ttl: int,
        ended: Callable[[Revoked], object],
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._tokens = tokens
        self._audit = audit
        self._clock = clock
        self._refresh_ttl = timedelta(seconds=refresh_ttl)
        self._ended = ended

    async def open(self, user: User, device: str, address: str) -> SignIn:
        """Open a session for `user`, whose password was verified against the hash that `user` has.

        `device` and `address` help the owner to recognise it later.

        Raises:
            Unauthenticated: "invalid_credentials" when the password was replaced or the account deleted
                since it was verified: such a change ends all sessions, and must end this one.
        """
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
        try:
            added = await self._sessions.add(session, user.password_hash)
        except NotFound as error:
            raise _outdated() from error
        if not added:
            raise _outdated()
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
        session = rotation.session
        if rotation.outcome == "raced":
            raise Conflict("refresh_raced", "This refresh token was replaced just now; use the newer one.")
        if rotation.outcome == "reused" and session is not None:
            await self._reused(session)
            raise Unauthenticated(
                "refresh_reused", "This refresh token was used before; the session has ended. Sign in again."
            )
        user = await self._users.by_id(session.user_id) if session else None
        if session is None or user is None:
            raise Unauthenticated("refresh_invalid", "The session has ended. Sign in again.")
        return self._sign_in(user, session, replacement)

    async def logout(self, principal: Principal) -> None:
        """End the session that the principal's token came from; ending it twice is no error."""
        if principal.session_id is not None:
            await self._end(principal.user_id, principal.session_id)

    async def forget(self, refresh_token: str) -> None:
        """End the session that `refresh_token` belongs or belonged to, if there is one."""
        now = self._clock.now()
        spent = secrets.token_urlsafe(REFRESH_BYTES)
        rotation = await self._sessions.rotate(
            _token_hash(refresh_token), _token_hash(spent), now, now, REFRESH_GRACE_MS
        )
        session = rotation.session
        if session is None:
            return
        if rotation.outcome == "reused":
            await self._reused(session)
        else:
            await self._end(session.user_id, session.session_id)

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        """End one of a person's sessions.

        Raises:
            NotFound: "session_not_found", also for somebody else's.
        """
        if not await self._end(user_id, session_id):
            raise NotFound("session_not_found", "You have no session with this id.")

    async def end_all(
        self, user_id: UUID, *, but: UUID | None = None, nodes: bool = False, actor_id: UUID | None = None
    ) -> int:
        """End all sessions of a person except `but`; returns how many.

        With `nodes` the tokens of the person's nodes are void too: they have to ask for new ones.
        `actor_id` is who does it, if it is not the person.
        """
        ended = await self._sessions.end_all(user_id, but)
        self.were_ended(user_id, ended, nodes=nodes)
        if ended:
            await self._audit.note(
                Kind.SESSION_ENDED, user_id=user_id, actor_id=actor_id, sessions=len(ended), all=but is None
            )
        return len(ended)

    def were_ended(self, user_id: UUID, sessions: Sequence[UUID], *, nodes: bool = False) -> None:
        """A store ended sessions within another change: void their tokens everywhere too."""
        if sessions or nodes:
            self._ended(
                Revoked(
                    user_id=user_id,
                    at_ms=self._clock.now_ms(),
                    sessions=[mark(session_id) for session_id in sessions],
                    nodes=nodes,
                )
            )

    async def list_sessions(
        self, user_id: UUID, cursor: UUID | None, limit: int
    ) -> tuple[list[LoginSession], UUID | None]:
        """At most `limit` (1 to `PAGE_MAX`) living sessions, the newest first, those older than `cursor`.

        Also returns the cursor of the next page.

        Raises:
            InvalidInput: "invalid_input" naming the field.
        """
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidInput("invalid_input", f"limit: must be 1 to {PAGE_MAX}.", field="limit")
        living = await self._sessions.of_user(user_id, self._clock.now())
        # Ids sort by time of creation.
        living.sort(key=lambda session: session.session_id, reverse=True)
        older = [session for session in living if cursor is None or session.session_id < cursor]
        page = older[:limit]
        return page, page[-1].session_id if len(older) > limit else None

    async def _end(self, user_id: UUID, session_id: UUID) -> bool:
        if not await self._sessions.end(user_id, session_id):
            return False
        self.were_ended(user_id, [session_id])
        await self._audit.note(Kind.SESSION_ENDED, user_id=user_id, session=str(session_id))
        return True

    async def _reused(self, session: LoginSession) -> None:
        """A spent token came back, and the store has ended its session."""
        log.warning("a refresh token was used twice: session ended", user=str(session.user_id))
        self.were_ended(session.user_id, [session.session_id])
        await self._audit.note(Kind.SESSION_REUSED, user_id=session.user_id, session=str(session.session_id))

    def _sign_in(self, user: User, session: LoginSession, refresh_token: str) -> SignIn:
        access_token, expires_at = self._tokens.for_user(user.user_id, session.session_id, user.role)
        return SignIn(
            user=user,
            access_token=access_token,
            expires_at=expires_at,
            refresh_token=refresh_token,
            refresh_expires_at=session.expires_at,
        )


def _token_hash(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode("utf-8", "surrogatepass")).digest()


def _outdated() -> Unauthenticated:
    return Unauthenticated("invalid_credentials", "The e-mail address or the password is wrong.")

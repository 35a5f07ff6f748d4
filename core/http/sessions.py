"""Sign-in sessions: renewed, listed and ended."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from core.errors import Forbidden, Refusal, Unauthenticated
from core.http.cookies import RefreshCookie
from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position
from core.http.permissions import Caller, caller, may
from core.http.requests import ApiRequest
from core.http.views import RefreshRequest, Session, session
from services.sessions import Sessions, SignIn
from services.tokens import USER, Principal
from storage.base import LoginSession


class SessionRecord(Struct):
    """An open session: the device's own name for itself, the address it signed in from, and when.

    `last_used_at` is when its access token was renewed last; unused it ends at `expires_at`.
    `current` is the session that asks.
    """

    session_id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool


class SessionPage(Struct):
    """A page of sessions, the newest first; `next_cursor` is null on the last."""

    items: list[SessionRecord]
    next_cursor: str | None


@post(
    "/auth/refresh",
    status_code=200,
    opt=may("anyone"),
    responses=fails("refresh_invalid", "refresh_reused", "refresh_raced", "csrf"),
)
async def refresh(
    request: ApiRequest,
    sessions: NamedDependency[Sessions],
    refresh_cookie: NamedDependency[RefreshCookie],
    data: JSONBody[RefreshRequest | None] = None,
) -> Response[Session]:
    """Get a fresh access token; the refresh token is replaced and comes back the way it came.

    The cookie serves our own page, or a program that sends `X-Pulseboard-CSRF: 1`.
    """
    if data is not None and data.refresh_token is not None:
        return session_answer(await sessions.refresh(data.refresh_token), None)
    stored = refresh_cookie.taken(request)
    if stored is None:
        raise Unauthenticated("refresh_invalid", "There is no refresh token. Sign in again.")
    return session_answer(await sessions.refresh(stored), refresh_cookie)


@post(
    "/auth/logout",
    status_code=204,
    opt=may("anyone"),
    responses=fails("token_missing", "token_invalid", "token_expired", "token_revoked", "forbidden", "csrf"),
)
async def logout(
    request: ApiRequest,
    sessions: NamedDependency[Sessions],
    refresh_cookie: NamedDependency[RefreshCookie],
) -> Response[None]:
    """End the session that the access token came from, and that of the cookie.

    Either is enough: a browser whose access token has run out can still sign out. The cookie serves our
    own page, or a program that sends `X-Pulseboard-CSRF: 1`.
    """
    stored = refresh_cookie.taken(request)
    if stored is not None:
        await sessions.forget(stored)
    who = caller(request.scope)
    if isinstance(who, Principal) and who.kind == USER:
        await sessions.logout(who)
    elif stored is None:
        raise _nobody(who)
    return Response(None, status_code=204, cookies=[refresh_cookie.gone()])


@get("/auth/sessions", opt=may("user"), responses=fails())
async def list_sessions(
    principal: NamedDependency[Principal],
    sessions: NamedDependency[Sessions],
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> SessionPage:
    """One's open sessions, page by page, the newest first."""
    found, last = await sessions.list_sessions(principal.user_id, position(cursor), limit)
    items = [_record(each, principal) for each in found]
    return SessionPage(items, cursor_of(last) if last else None)


@delete("/auth/sessions/{session_id:uuid}", opt=may("user"), responses=fails("session_not_found"))
async def end_session(
    session_id: FromPath[UUID],
    principal: NamedDependency[Principal],
    sessions: NamedDependency[Sessions],
    refresh_cookie: NamedDependency[RefreshCookie],
) -> Response[None]:
    """End one of one's sessions: its refresh token, access tokens and WebSockets serve no more."""
    await sessions.end(principal.user_id, session_id)
    own = session_id == principal.session_id
    return Response(None, status_code=204, cookies=[refresh_cookie.gone()] if own else None)


@delete("/auth/sessions", opt=may("user"), responses=fails())
async def end_sessions(
    principal: NamedDependency[Principal],
    sessions: NamedDependency[Sessions],
    refresh_cookie: NamedDependency[RefreshCookie],
    keep_current: Annotated[bool, QueryParameter(description="All but the session that asks.")] = False,
) -> Response[None]:
    """Sign out everywhere."""
    await sessions.end_all(principal.user_id, but=principal.session_id if keep_current else None)
    return Response(None, status_code=204, cookies=None if keep_current else [refresh_cookie.gone()])


def session_answer(sign_in: SignIn, cookie: RefreshCookie | None) -> Response[Session]:
    """An open session, its refresh token in the body, or in `cookie`."""
    if cookie is None:
        return Response(session(sign_in, with_refresh=True))
    return Response(
        session(sign_in, with_refresh=False),
        cookies=[cookie.holding(sign_in.refresh_token)],
    )


def _nobody(who: Caller) -> Refusal:
    if isinstance(who, Principal):
        return Forbidden("forbidden", "Your token does not serve for this.")
    return who or Unauthenticated(
        "token_missing", "There is neither a token nor a cookie: nobody to sign out."
    )


def _record(each: LoginSession, principal: Principal) -> SessionRecord:
    return SessionRecord(
        each.session_id,
        each.device,
        each.address,
        each.created_at,
        each.last_used_at,
        each.expires_at,
        each.session_id == principal.session_id,
    )


sessions = Router(
    "/", route_handlers=[refresh, logout, list_sessions, end_session, end_sessions], tags=["accounts"]
)

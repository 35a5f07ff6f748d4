"""Sign-up, sign-in, and oneself."""

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from core.errors import Unauthenticated
from core.http.openapi import BEARER, fails
from core.http.requests import ApiRequest, bearer_token, signed_in
from core.http.views import LoginRequest, Profile, RefreshRequest, RegisterRequest, Session, profile, session
from core.messages import Overview
from services.earnings import Earnings
from services.tokens import USER, Principal, Tokens
from services.users import SignIn, Users


class RefreshCookie(Struct, frozen=True):
    """Where a browser keeps its refresh token: out of reach of scripts and of other sites."""

    path: str
    max_age: int
    secure: bool
    name: str = "pulseboard_refresh"

    def holding(self, refresh_token: str) -> Cookie:
        """The cookie that stores `refresh_token`."""
        return self._cookie(refresh_token, self.max_age)

    def gone(self) -> Cookie:
        """The cookie that removes it."""
        return self._cookie("", 0)

    def _cookie(self, value: str, max_age: int) -> Cookie:
        return Cookie(
            key=self.name,
            value=value,
            max_age=max_age,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )


@post("/auth/register", responses=fails(400, 409, 429))
async def register(data: JSONBody[RegisterRequest], users: NamedDependency[Users]) -> Profile:
    """Make an account."""
    return profile(await users.register(data.email, data.password, data.display_name))


@post("/auth/login", status_code=200, responses=fails(400, 401, 429))
async def login(
    request: ApiRequest,
    data: JSONBody[LoginRequest],
    users: NamedDependency[Users],
    refresh_cookie: NamedDependency[RefreshCookie],
) -> Response[Session]:
    """Open a session."""
    address = request.client.host if request.client else ""
    device = request.headers.get("user-agent", "")
    sign_in = await users.login(data.email, data.password, device, address)
    return _answer(sign_in, refresh_cookie if data.cookie else None)


@post("/auth/refresh", status_code=200, responses=fails(400, 401, 409))
async def refresh(
    request: ApiRequest,
    users: NamedDependency[Users],
    refresh_cookie: NamedDependency[RefreshCookie],
    data: JSONBody[RefreshRequest | None] = None,
) -> Response[Session]:
    """Get a fresh access token; the refresh token is replaced and comes back the way it came."""
    if data is not None and data.refresh_token is not None:
        return _answer(await users.refresh(data.refresh_token), None)
    stored = request.cookies.get(refresh_cookie.name)
    if not stored:
        raise Unauthenticated("refresh_invalid", "There is no refresh token. Sign in again.")
    return _answer(await users.refresh(stored), refresh_cookie)


@post("/auth/logout", status_code=204, security=BEARER, responses=fails(401))
async def logout(
    request: ApiRequest,
    users: NamedDependency[Users],
    tokens: NamedDependency[Tokens],
    refresh_cookie: NamedDependency[RefreshCookie],
) -> Response[None]:
    """End the session that the access token came from, and that of the cookie.

    Either is enough: a browser whose access token has run out can still sign out.
    """
    stored = request.cookies.get(refresh_cookie.name)
    if stored:
        await users.forget(stored)
    try:
        await users.logout(tokens.verify(bearer_token(request), USER))
    except Unauthenticated:
        if not stored:
            raise
    return Response(None, status_code=204, cookies=[refresh_cookie.gone()])


@get("/me", guards=signed_in, security=BEARER, responses=fails(401))
async def me(principal: NamedDependency[Principal], users: NamedDependency[Users]) -> Profile:
    """Who one is."""
    return profile(await users.profile(principal))


@get("/me/overview", guards=signed_in, security=BEARER, responses=fails(401))
async def overview(principal: NamedDependency[Principal], earnings: NamedDependency[Earnings]) -> Overview:
    """One's whole live state: the data of channel `me`."""
    return await earnings.overview(principal.user_id)


def _answer(sign_in: SignIn, cookie: RefreshCookie | None) -> Response[Session]:
    if cookie is None:
        return Response(session(sign_in, with_refresh=True))
    return Response(
        session(sign_in, with_refresh=False),
        cookies=[cookie.holding(sign_in.refresh_token)],
    )


accounts = Router("/", route_handlers=[register, login, refresh, logout, me, overview], tags=["accounts"])

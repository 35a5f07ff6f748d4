"""Sign-up, links that came by mail, and sign-in."""

from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from core.http.cookies import RefreshCookie
from core.http.device import DeviceCookie
from core.http.openapi import fails
from core.http.permissions import may
from core.http.requests import ApiRequest
from core.http.sessions import session_answer
from core.http.views import LoginRequest, RegisterRequest, Session, Text
from services.accounts import Accounts
from services.audit import CONTEXT

ON_ITS_WAY = "If this address can be used, a mail is on its way."


class Accepted(Struct):
    """The same whether there is an account or not: only the mailbox tells."""

    detail: str = ON_ITS_WAY


class LinkToken(Struct, forbid_unknown_fields=True):
    """The token of a link that came by mail."""

    token: Text


class ForgotRequest(Struct, forbid_unknown_fields=True):
    """Whose password was forgotten."""

    email: Text


class ResetRequest(Struct, forbid_unknown_fields=True):
    """The token of the link, and the password from now on."""

    token: Text
    password: Text


class EmailConfirmed(Struct):
    """`state` is "half" while the other address is still to confirm, then "changed"."""

    state: str


@post(
    "/auth/register",
    status_code=202,
    opt=may("anyone"),
    responses=fails("password_common", "too_many_attempts", "busy"),
)
async def register(
    request: ApiRequest,
    data: JSONBody[RegisterRequest],
    accounts: NamedDependency[Accounts],
    device_cookie: NamedDependency[DeviceCookie],
) -> Response[Accepted]:
    """Ask for an account: it is made when the link that comes by mail is opened.

    The answer names the browser (a cookie): two accounts from one are no referral.
    """
    browser = device_cookie.taken(request) or device_cookie.new()
    await accounts.registrar.register(
        data.email,
        data.password,
        display_name=data.display_name,
        referral_code=data.referral_code,
        locale=data.locale,
        address=CONTEXT.get().address,
        browser=browser,
    )
    return Response(Accepted(), cookies=[device_cookie.holding(browser)])


@post(
    "/auth/verify-email",
    status_code=204,
    opt=may("anyone"),
    responses=fails("link_invalid", "too_many_attempts"),
)
async def verify_email(data: JSONBody[LinkToken], accounts: NamedDependency[Accounts]) -> None:
    """Make the account whose address the token confirms."""
    await accounts.registrar.verify(data.token, CONTEXT.get().address)


@post("/auth/password/forgot", status_code=202, opt=may("anyone"), responses=fails("too_many_attempts"))
async def forgot_password(data: JSONBody[ForgotRequest], accounts: NamedDependency[Accounts]) -> Accepted:
    """Ask for a link to choose a new password."""
    await accounts.recovery.forgot(data.email, CONTEXT.get().address)
    return Accepted()


@post(
    "/auth/password/reset",
    status_code=204,
    opt=may("anyone"),
    responses=fails("link_invalid", "password_common", "too_many_attempts", "busy"),
)
async def reset_password(data: JSONBody[ResetRequest], accounts: NamedDependency[Accounts]) -> None:
    """Choose a new password; all sessions end. A second factor stays needed at the next sign-in."""
    await accounts.recovery.reset(data.token, data.password, CONTEXT.get().address)


@post(
    "/auth/email/confirm",
    status_code=200,
    opt=may("anyone"),
    responses=fails("link_invalid", "too_many_attempts"),
)
async def confirm_email(data: JSONBody[LinkToken], accounts: NamedDependency[Accounts]) -> EmailConfirmed:
    """Confirm a change of address for one of the two; it is made when both have."""
    changed = await accounts.emails.confirm(data.token, CONTEXT.get().address)
    return EmailConfirmed(changed.outcome)


@post(
    "/auth/login",
    status_code=200,
    opt=may("anyone"),
    responses=fails(
        "invalid_credentials",
        "second_factor_required",
        "second_factor_invalid",
        "too_many_attempts",
        "busy",
    ),
)
async def login(
    request: ApiRequest,
    data: JSONBody[LoginRequest],
    accounts: NamedDependency[Accounts],
    refresh_cookie: NamedDependency[RefreshCookie],
    device_cookie: NamedDependency[DeviceCookie],
) -> Response[Session]:
    """Open a session."""
    sign_in = await accounts.sign_ins.sign_in(
        data.email,
        data.password,
        data.code,
        device=request.headers.get("user-agent", ""),
        address=CONTEXT.get().address,
        browser=device_cookie.taken(request),
    )
    return session_answer(sign_in, refresh_cookie if data.cookie else None)


accounts = Router(
    "/",
    route_handlers=[
        register,
        verify_email,
        forgot_password,
        reset_password,
        confirm_email,
        login,
    ],
    tags=["accounts"],
)

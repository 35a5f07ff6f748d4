"""Oneself: profile, password, address, wallet, a copy of everything, and the end."""

from datetime import datetime

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec import Struct

from core.http.accounts import Accepted
from core.http.cookies import RefreshCookie
from core.http.etag import check_version, etag_of, tagged
from core.http.openapi import fails
from core.http.permissions import may
from core.http.requests import ApiRequest
from core.http.views import Profile, Text, profile
from core.messages import Overview
from services.accounts import Accounts
from services.earnings import Earnings
from services.tokens import Principal


class ProfileChange(Struct, forbid_unknown_fields=True):
    """What is to be replaced; what is left out stays."""

    display_name: Text | None = None
    locale: Text | None = None
    time_zone: Text | None = None


class PasswordChange(Struct, forbid_unknown_fields=True):
    """The password as it is, and as it shall be."""

    current: Text
    new: Text


class EmailRequest(Struct, forbid_unknown_fields=True):
    """The address from now on, and the password."""

    email: Text
    password: Text


class WalletRequest(Struct, forbid_unknown_fields=True):
    """A wallet's address: 0x and 40 hexadecimal digits."""

    address: Text


class WalletMessage(Struct):
    """What the wallet is to sign until `expires_at`, and the nonce to send with the signature."""

    message: str
    nonce: str
    expires_at: datetime


class WalletLink(Struct, forbid_unknown_fields=True):
    """A wallet's signature (EIP-191, 65 bytes in hex) over the message of `nonce`."""

    address: Text
    nonce: Text
    signature: Text


class Wallet(Struct):
    """A linked wallet, with checksum (EIP-55)."""

    address: str


class Farewell(Struct, forbid_unknown_fields=True):
    """Proof that it is the owner who goes; `code` where there is a second factor."""

    password: Text
    code: Text | None = None


@get("/me", opt=may("user"), responses=fails())
async def me(
    request: ApiRequest, principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]
) -> Response[Profile]:
    """Who one is."""
    return tagged(request, profile(await accounts.profiles.get(principal.user_id)))


@patch("/me", opt=may("user"), responses=fails("precondition_failed"))
async def change_me(
    request: ApiRequest,
    data: JSONBody[ProfileChange],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> Response[Profile]:
    """Change what one says of oneself."""
    user = await accounts.profiles.get(principal.user_id)
    check_version(request, profile(user))
    changed = profile(
        await accounts.profiles.change(
            user, display_name=data.display_name, locale=data.locale, time_zone=data.time_zone
        )
    )
    return Response(changed, headers={"etag": etag_of(changed)})


@delete(
    "/me",
    status_code=204,
    opt=may("user"),
    responses=fails(
        "invalid_credentials",
        "second_factor_required",
        "second_factor_invalid",
        "too_many_attempts",
        "busy",
    ),
)
async def delete_me(
    data: JSONBody[Farewell],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
    refresh_cookie: NamedDependency[RefreshCookie],
) -> Response[None]:
    """Delete the account for good."""
    await accounts.profiles.delete(principal.user_id, data.password, data.code)
    return Response(None, status_code=204, cookies=[refresh_cookie.gone()])


@get("/me/overview", opt=may("user"), responses=fails())
async def overview(principal: NamedDependency[Principal], earnings: NamedDependency[Earnings]) -> Overview:
    """One's whole live state: the data of channel `me`."""
    return await earnings.overview(principal.user_id)


@get("/me/export", opt=may("user"), responses=fails(), media_type="application/json")
async def export(principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]) -> Stream:
    """A copy of everything that is held of oneself."""
    return Stream(
        await accounts.exports.of(principal.user_id),
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="pulseboard-export.json"'},
    )


@put(
    "/me/password",
    status_code=204,
    opt=may("user"),
    responses=fails("invalid_credentials", "password_common", "too_many_attempts", "busy"),
)
async def change_password(
    data: JSONBody[PasswordChange],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> None:
    """Change the password; all other sessions end."""
    await accounts.profiles.change_password(principal.user_id, principal.session_id, data.current, data.new)


@put(
    "/me/email",
    status_code=202,
    opt=may("user"),
    responses=fails("invalid_credentials", "too_many_attempts", "busy"),
)
async def change_email(
    data: JSONBody[EmailRequest],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> Accepted:
    """Ask for another address: it counts when the links at both addresses were opened."""
    await accounts.emails.ask(principal.user_id, data.email, data.password)
    return Accepted()


@post("/me/wallet/challenge", status_code=200, opt=may("user"), responses=fails())
async def wallet_challenge(
    data: JSONBody[WalletRequest],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> WalletMessage:
    """Get the text that a wallet has to sign to be linked."""
    made = accounts.wallets.challenge(principal.user_id, data.address)
    return WalletMessage(made.message, made.nonce, made.expires_at)


@put(
    "/me/wallet",
    opt=may("user"),
    responses=fails("challenge_invalid", "signature_invalid", "wallet_taken"),
)
async def link_wallet(
    data: JSONBody[WalletLink],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> Wallet:
    """Link a wallet, in place of the one that was."""
    return Wallet(await accounts.wallets.link(principal.user_id, data.address, data.nonce, data.signature))


@delete("/me/wallet", status_code=204, opt=may("user"), responses=fails())
async def unlink_wallet(principal: NamedDependency[Principal], accounts: NamedDependency[Accounts]) -> None:
    """Let no wallet be linked."""
    await accounts.wallets.unlink(principal.user_id)


own = Router(
    "/",
    route_handlers=[
        me,
        change_me,
        delete_me,
        overview,
        export,
        change_password,
        change_email,
        wallet_challenge,
        link_wallet,
        unlink_wallet,
    ],
    tags=["accounts"],
)

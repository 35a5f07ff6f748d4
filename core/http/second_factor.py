"""The second factor: turned on, shown its recovery codes, turned off."""

from litestar import Router, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from core.http.openapi import fails
from core.http.permissions import may
from core.http.views import Text
from services.accounts import Accounts
from services.tokens import Principal


class PasswordShown(Struct, forbid_unknown_fields=True):
    """The password."""

    password: Text


class CodeShown(Struct, forbid_unknown_fields=True):
    """Six digits of the authenticator app."""

    code: Text


class BothShown(Struct, forbid_unknown_fields=True):
    """The password, and six digits or a recovery code."""

    password: Text
    code: Text


class OfferedFactor(Struct):
    """A secret for an authenticator app: to be typed, and as the address that a QR code carries."""

    secret: str
    uri: str


class RecoveryCodes(Struct):
    """Codes that each serve once instead of six digits. They are shown this once."""

    recovery_codes: list[str]


@post(
    "/me/second-factor",
    status_code=200,
    opt=may("user"),
    responses=fails("invalid_credentials", "second_factor_on", "too_many_attempts", "busy"),
)
async def offer_factor(
    data: JSONBody[PasswordShown],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> OfferedFactor:
    """Get a secret; it counts once a code of it was confirmed."""
    offer = await accounts.second_factors.offer(principal.user_id, data.password)
    return OfferedFactor(offer.secret, offer.uri)


@post(
    "/me/second-factor/confirm",
    status_code=200,
    opt=may("user"),
    responses=fails("second_factor_invalid", "second_factor_on", "second_factor_off", "too_many_attempts"),
)
async def confirm_factor(
    data: JSONBody[CodeShown],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> RecoveryCodes:
    """Turn the second factor on, by a first code of it."""
    return RecoveryCodes(await accounts.second_factors.confirm(principal.user_id, data.code))


@delete(
    "/me/second-factor",
    status_code=204,
    opt=may("user"),
    responses=fails(
        "invalid_credentials", "second_factor_invalid", "second_factor_off", "too_many_attempts", "busy"
    ),
)
async def remove_factor(
    data: JSONBody[BothShown],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> None:
    """Turn the second factor off."""
    await accounts.second_factors.remove(principal.user_id, data.password, data.code)


@post(
    "/me/second-factor/recovery-codes",
    status_code=200,
    opt=may("user"),
    responses=fails(
        "invalid_credentials", "second_factor_invalid", "second_factor_off", "too_many_attempts", "busy"
    ),
)
async def renew_recovery_codes(
    data: JSONBody[BothShown],
    principal: NamedDependency[Principal],
    accounts: NamedDependency[Accounts],
) -> RecoveryCodes:
    """Replace all recovery codes."""
    return RecoveryCodes(
        await accounts.second_factors.renew_recovery(principal.user_id, data.password, data.code)
    )


second_factor = Router(
    "/",
    route_handlers=[offer_factor, confirm_factor, remove_factor, renew_recovery_codes],
    tags=["accounts"],
)

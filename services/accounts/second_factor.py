"""The second factor: a time-based code besides the password, and recovery codes for a lost device."""

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from core.clock import Clock
from core.errors import Conflict
from services.accounts import totp
from services.accounts.codes import Codes, purpose, wrong_code
from services.accounts.credentials import Credentials
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from services.sealing import Sealer
from storage.base import Outbox, SecondFactor, SecondFactorStore, User

ISSUER = "Pulseboard"


class Offer(Struct, frozen=True):
    """A secret to be put into an authenticator app: to be typed, and as the address in a QR code."""

    secret: str
    uri: str


class SecondFactors:
    """Turns second factors on and off. Secrets are sealed at rest, recovery codes hashed."""

    def __init__(
        self,
        *,
        store: SecondFactorStore,
        credentials: Credentials,
        codes: Codes,
        sealer: Sealer,
        letters: Letters,
        outbox: Outbox,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._codes = codes
        self._sealer = sealer
        self._letters = letters
        self._outbox = outbox
        self._audit = audit
        self._clock = clock

    async def offer(self, user_id: UUID, password: str) -> Offer:
        """A fresh secret, which counts once `confirm` was shown a code of it.

        Raises:
            Unauthenticated: "invalid_credentials".
            Conflict: "second_factor_on" if there is a confirmed one.
            TooManyRequests: "too_many_attempts" or "busy".
        """
        user = await self._credentials.prove(user_id, password)
        secret = totp.new_secret()
        factor = SecondFactor(user_id=user_id, secret=b"", created_at=self._clock.now())
        factor = replace(factor, secret=self._sealer.seal(secret, purpose(factor)))
        if not await self._store.offer(factor):
            raise _on()
        await self._audit.note(Kind.SECOND_FACTOR_OFFERED, user_id=user_id)
        return Offer(totp.secret_text(secret), totp.uri(secret, user.email, ISSUER))

    async def confirm(self, user_id: UUID, code: str) -> list[str]:
        """Let the offered secret count from now on; returns the recovery codes, shown this once.

        Raises:
            Unauthenticated: "second_factor_invalid".
            Conflict: "second_factor_on" if one counts already, "second_factor_off" if none was offered.
        """
        user = await self._credentials.person(user_id)
        factor = await self._store.get(user_id)
        if factor is None:
            raise _off()
        if factor.confirmed_at is not None:
            raise _on()
        step = self._codes.step_of(factor, code)
        if step is None:
            raise wrong_code()
        recovery = totp.new_recovery_codes()
        hashes = [totp.recovery_hash(each) for each in recovery]
        if not await self._store.confirm(user_id, step, hashes, self._clock.now()):
            raise _on()
        await self._tell(user, Kind.SECOND_FACTOR_CONFIRMED, MailKind.SECOND_FACTOR_ON)
        return recovery

    async def remove(self, user_id: UUID, password: str, code: str | None) -> None:
        """Take it away.

        Raises:
            Unauthenticated: "invalid_credentials", "second_factor_required" or "second_factor_invalid".
            Conflict: "second_factor_off".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        user = await self._credentials.prove_fully(user_id, password, code)
        if not await self._store.remove(user_id):
            raise _off()
        await self._tell(user, Kind.SECOND_FACTOR_REMOVED, MailKind.SECOND_FACTOR_OFF)

    async def renew_recovery(self, user_id: UUID, password: str, code: str | None) -> list[str]:
        """Replace all recovery codes; returns the new ones, shown this once.

        Raises:
            As `remove`.
        """
        user = await self._credentials.prove_fully(user_id, password, code)
        recovery = totp.new_recovery_codes()
        if not await self._store.set_recovery(user_id, [totp.recovery_hash(each) for each in recovery]):
            raise _off()
        await self._tell(user, Kind.SECOND_FACTOR_CODES, MailKind.RECOVERY_CODES_NEW)
        return recovery

    async def _tell(self, user: User, kind: Kind, letter: MailKind) -> None:
        await self._audit.note(kind, user_id=user.user_id)
        await self._outbox.add(self._letters.notice(letter, user.email, name=user.display_name))


def _on() -> Conflict:
    return Conflict("second_factor_on", "There is a second factor already; remove it first.")


def _off() -> Conflict:
    return Conflict("second_factor_off", "There is no second factor.")

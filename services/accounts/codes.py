"""Codes of a second factor, as somebody shows them."""

from core.clock import Clock
from core.errors import Unauthenticated
from core.logs import get_logger
from services.accounts import totp
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from services.sealing import SealBroken, Sealer
from storage.base import Outbox, SecondFactor, SecondFactorStore, User

log = get_logger("accounts")


class Codes:
    """Judges codes and recovery codes. Each serves once."""

    def __init__(
        self,
        *,
        store: SecondFactorStore,
        sealer: Sealer,
        letters: Letters,
        outbox: Outbox,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._letters = letters
        self._outbox = outbox
        self._audit = audit
        self._clock = clock

    async def demand(self, user: User, code: str | None) -> None:
        """Let pass who has no second factor, or shows a good code.

        Raises:
            Unauthenticated: "second_factor_required"; "second_factor_invalid", also for what has served.
        """
        if not user.second_factor:
            return
        if code is None:
            raise Unauthenticated("second_factor_required", "This takes a code of the second factor too.")
        factor = await self._store.get(user.user_id)
        bare = "".join(code.split())
        if factor is None or factor.confirmed_at is None:
            raise wrong_code()
        if totp.is_code(bare):
            step = self.step_of(factor, bare)
            if step is None or not await self._store.use_step(user.user_id, step):
                raise wrong_code()
        elif await self._store.use_recovery(user.user_id, totp.recovery_hash(bare)):
            await self._recovered(user, len(factor.recovery) - 1)
        else:
            raise wrong_code()

    def step_of(self, factor: SecondFactor, code: str) -> int | None:
        """The time step that `code` belongs to; None if it is wrong."""
        try:
            secret = self._sealer.open(factor.secret, purpose(factor))
        except SealBroken as error:
            # Recovery codes still serve.
            log.error("second factor cannot be read", user=str(factor.user_id), reason=str(error))
            return None
        return totp.matching_step(secret, "".join(code.split()), self._clock.now_ms())

    async def _recovered(self, user: User, left: int) -> None:
        await self._audit.note(Kind.SECOND_FACTOR_RECOVERED, user_id=user.user_id, left=left)
        letter = self._letters.notice(
            MailKind.RECOVERY_CODE_USED, user.email, name=user.display_name, left=str(left)
        )
        await self._outbox.add(letter)


def purpose(factor: SecondFactor) -> str:
    """What a factor's secret is sealed for."""
    return f"second factor {factor.user_id}"


def wrong_code() -> Unauthenticated:
    """What is answered to a code that does not serve."""
    return Unauthenticated("second_factor_invalid", "The code is wrong, or has served already.")

"""Letters on their way into the outbox: sealed, because some hold links that serve as keys."""

from datetime import timedelta
from enum import StrEnum

import msgspec

from core.clock import Clock, new_id
from services.sealing import Sealer
from storage.base import Mail

# A notice that could not be delivered for so long tells nothing new any more.
NOTICE_TTL = timedelta(days=3)


class Kind(StrEnum):
    """Every letter there is; `letters.toml` says what it says."""

    VERIFY = "verify"
    ALREADY_REGISTERED = "already_registered"
    RESET = "reset"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a name
    EMAIL_OLD = "email_old"
    EMAIL_NEW = "email_new"
    EMAIL_TAKEN = "email_taken"
    EMAIL_CHANGED = "email_changed"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_NEW = "recovery_codes_new"
    WALLET_LINKED = "wallet_linked"
    WALLET_UNLINKED = "wallet_unlinked"
    ACCOUNT_DELETED = "account_deleted"


class Letters:
    """Writes letters for the outbox."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock

    def notice(self, kind: Kind, recipient: str, **facts: str) -> Mail:
        """A letter that tells what happened; `facts` are what its text names."""
        return self.write(kind, recipient, NOTICE_TTL, **facts)

    def write(self, kind: Kind, recipient: str, ttl: timedelta, **facts: str) -> Mail:
        """A letter that is of use for `ttl`."""
        now = self._clock.now()
        mail_id = new_id()
        hours = max(1, round(ttl / timedelta(hours=1)))
        valid = "one hour" if hours == 1 else f"{hours} hours"
        written = {"valid": valid, "at": f"{now:%Y-%m-%d %H:%M} UTC", **facts}
        return Mail(
            mail_id=mail_id,
            recipient=recipient,
            template=kind.value,
            body=self._sealer.seal(msgspec.msgpack.encode(written), f"mail {mail_id}"),
            created_at=now,
            next_at=now,
            expires_at=now + ttl,
        )

    def decoy(self, recipient: str) -> Mail:
        """A letter that never leaves: it has expired, and takes the work of one that does."""
        return self.write(Kind.RESET, recipient, timedelta(0), token="-" * 43)

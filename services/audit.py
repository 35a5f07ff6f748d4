"""The audit log: what matters to security, who did it, and from where."""

from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from msgspec import Struct

from core.clock import Clock, new_id
from core.errors import InvalidInput
from storage.base import AuditEvent, AuditLog

PAGE_MAX = 200


class Kind(StrEnum):
    """What may happen, by its stable name."""

    meaning: str

    def __new__(cls, name: str, meaning: str) -> Self:
        kind = str.__new__(cls, name)
        kind._value_ = name
        kind.meaning = meaning
        return kind

    REGISTERED = "registered", "somebody asked for an account"
    VERIFIED = "verified", "the address was confirmed and the account made"
    LOGIN_OK = "login.ok", "somebody signed in"
    LOGIN_FAILED = "login.failed", "a wrong password or code"
    LOGIN_THROTTLED = "login.throttled", "too many attempts: refused without a look at the password"
    SECOND_FACTOR_OFFERED = "second_factor.offered", "a second factor was asked for"
    SECOND_FACTOR_CONFIRMED = "second_factor.confirmed", "a second factor counts from now on"
    SECOND_FACTOR_REMOVED = "second_factor.removed", "a second factor was taken away"
    SECOND_FACTOR_RECOVERED = "second_factor.recovered", "a recovery code was spent"
    SECOND_FACTOR_CODES = "second_factor.codes", "new recovery codes replaced the old"
    PASSWORD_CHANGED = "password.changed", "a password was changed by its owner"
    PASSWORD_FORGOTTEN = "password.forgotten", "a link to reset a password was asked for"
    PASSWORD_RESET = "password.reset", "a password was reset by such a link"
    EMAIL_ASKED = "email.asked", "a change of address was asked for"
    EMAIL_CONFIRMED = "email.confirmed", "one of the two addresses confirmed a change"
    EMAIL_CHANGED = "email.changed", "the address was changed"
    SESSION_ENDED = "session.ended", "sessions were ended"
    SESSION_REUSED = "session.reused", "a spent refresh token came back: its session was ended"
    WALLET_LINKED = "wallet.linked", "a wallet was linked"
    WALLET_UNLINKED = "wallet.unlinked", "a wallet was unlinked"
    PROFILE_CHANGED = "profile.changed", "name, language or time zone were changed"
    NODE_RETIRED = "node.retired", "a node was ended for good by its owner"
    EXPORT = "export", "somebody took a copy of their data"
    ACCOUNT_DELETED = "account.deleted", "an account was erased"
    ROLE_CHANGED = "role.changed", "somebody's role was changed"
    ADMIN_SEARCHED = "admin.searched", "the staff looked for people"
    ADMIN_VIEWED = "admin.viewed", "the staff looked at an account"
    ADMIN_NODE_VIEWED = "admin.node_viewed", "the staff looked at a node"
    ADMIN_SESSIONS_ENDED = "admin.sessions_ended", "an operator ended somebody's sessions"
    ADMIN_AUDIT_READ = "admin.audit_read", "an operator read the audit log"
    ABUSE_RULE_CHANGED = "abuse.rule_changed", "an operator changed a rule of abuse"
    ABUSE_FLAGS_VIEWED = "abuse.flags_viewed", "the staff looked at flags"
    ABUSE_FLAG_DISMISSED = "abuse.flag_dismissed", "the staff dismissed a flag"
    NODE_SUSPENDED = "node.suspended", "the staff suspended a node"
    REFERRAL_CODE_MADE = "referral.code_made", "somebody made a referral code"
    REFERRALS_VIEWED = "referral.viewed", "the staff looked at flagged referrals"
    REFERRAL_DECIDED = "referral.decided", "an operator released or refused referrals"
    CAMPAIGN_ADDED = "campaign.added", "an operator made a campaign"
    CAMPAIGN_CHANGED = "campaign.changed", "an operator changed a campaign"
    LEDGER_CHECK_ASKED = "ledger.check_asked", "an operator asked for a check of the ledger"
    LEDGER_CHECKED = "ledger.checked", "the ledger was checked; what did not hold is in it by name"
    NODE_UNSUSPENDED = "node.unsuspended", "the staff let a suspended node in again"


class AuditContext(Struct, frozen=True):
    """Where what happens now comes from: the client's address and the request's id."""

    address: str = ""
    request_id: str = ""


_NOWHERE = AuditContext()
#: Set for the length of a request by the outermost layer of the API.
CONTEXT: ContextVar[AuditContext] = ContextVar("pulseboard_audit", default=_NOWHERE)


class Audit:
    """Writes events down and finds them again."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def note(
        self,
        kind: Kind,
        *,
        user_id: UUID | None = None,
        actor_id: UUID | None = None,
        **facts: str | int | bool | None,
    ) -> None:
        """Write down that `kind` happened to `user_id`; without `actor_id` they did it themselves.

        Address and request id are those of `CONTEXT`. `facts` are public: never a password, a token,
        a code or what they could be made from.

        Raises:
            StorageUnavailable: it was not written down; what it tells of should fail with it.
        """
        context = CONTEXT.get()
        await self._log.append(
            AuditEvent(
                event_id=new_id(),
                at=self._clock.now(),
                kind=kind.value,
                user_id=user_id,
                actor_id=actor_id or user_id,
                address=context.address,
                request_id=context.request_id,
                facts=facts,
            )
        )

    async def read(
        self, *, user_id: UUID | None, kind: str | None, before: UUID | None, limit: int
    ) -> list[AuditEvent]:
        """Events, the newest first, at most `limit`, those older than `before`.

        `kind` is a name of `Kind`, or the part up to and with its dot.

        Raises:
            InvalidInput: "invalid_input", field "kind".
        """
        if kind is not None and not any(
            known == kind or (kind.endswith(".") and known.startswith(kind)) for known in Kind
        ):
            raise InvalidInput("invalid_input", "kind: is none of the audit log's.", field="kind")
        return await self._log.read(user_id=user_id, kind=kind, before=before, limit=limit)

    async def prune(self, keep: timedelta, now: datetime) -> int:
        """Drop what is older than `keep`; returns how many."""
        return await self._log.prune(now - keep)

"""Signs of abuse: the rules that look for them, and the flags that they raise on nodes."""

from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from msgspec import Struct

#: What a rule does to a node: show it to the staff, lower its score too, or suspend it.
Action = Literal["flag", "gate", "suspend"]
FlagState = Literal["active", "cleared", "dismissed"]

#: The rule of flags that the staff raises by hand.
STAFF = "staff"


class AbuseRule(Struct, frozen=True, kw_only=True):
    """A version of a rule, as `updated_by` set it at `updated_at`; the first is the one shipped.

    `parameters` are whole numbers by name (`storage.abuse`). With action "gate" the score is multiplied
    by `gate` quarters, 0 or 1. A flag clears when its cause has been gone for `clear_after` seconds;
    one that suspends only if the rule `lifts`. Flags of a rule that is not `enabled` clear at once.
    """

    name: str
    enabled: bool
    action: Action
    gate: int
    parameters: dict[str, int]
    clear_after: int
    lifts: bool = False
    version: int = 1
    updated_at: datetime
    updated_by: UUID | None = None


class Flag(Struct, frozen=True, kw_only=True):
    """What a rule, in `rule_version`, found about a node, and what that does to it.

    `subject` tells causes of one rule apart (the address that is shared), `weight` how grave it is (by
    how many). `gate` is in quarters, None if the score is left alone. The cause is gone since
    `gone_since`. It ended at `ended_at`, by `ended_by` if a person did it, who wrote `note`; a dismissed
    one is not raised again on the same subject before `quiet_until`, unless it weighs over twice as much.
    """

    flag_id: UUID
    user_id: UUID
    node_id: UUID
    rule: str
    rule_version: int
    subject: str
    weight: int
    evidence: dict[str, Any]
    action: Action
    gate: int | None
    state: FlagState
    raised_at: datetime
    raised_by: UUID | None = None
    gone_since: datetime | None = None
    ended_at: datetime | None = None
    ended_by: UUID | None = None
    note: str = ""
    quiet_until: datetime | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """A step in the life of a flag and the evidence of that moment; `actor_id` None: a rule took it."""

    at: datetime
    decision: Literal["raised", "changed", "cleared", "dismissed"]
    action: Action
    gate: int | None
    rule_version: int
    evidence: dict[str, Any]
    actor_id: UUID | None = None
    note: str = ""


class Judged(Struct, frozen=True, kw_only=True):
    """How many flags one look of a rule raised, changed and cleared."""

    raised: int
    changed: int
    cleared: int


class Unenforced(Struct, frozen=True, kw_only=True):
    """A node that has to be suspended, or let in again, for its flags to be true."""

    user_id: UUID
    node_id: UUID
    suspend: bool


class AbuseStore(Protocol):
    """The rules, and the flags they raise.

    A node has at most one active flag of each rule; its weight and evidence are those of now to a
    twentieth. Every flag that is raised, changed or ended leaves a `Decision` in the same transaction.
    Flags tell who is to be suspended; `UptimeStore.suspend` makes it so, and `unenforced` tells where it
    has yet to. A suspension follows the key: when a retired node's is enrolled again, by whomever, its
    active flags that suspend are the new node's, to somebody else without addresses. An erased account's
    are gone. Nodes without public addresses are not looked at.
    """

    async def rules(self) -> list[AbuseRule]:
        """The newest version of each rule, by name."""
        ...

    async def versions(self, name: str, limit: int) -> list[AbuseRule]:
        """The versions of a rule, the newest first, at most `limit`."""
        ...

    async def save_rule(self, rule: AbuseRule) -> bool:
        """Add a version of a rule that there is; false unless it is the one that follows the newest."""
        ...

    async def judge(self, rule: AbuseRule, at: datetime, limit: int) -> Judged:
        """Look once by `rule`: raise what is new, `limit` flags at most, and refresh or clear the others."""
        ...

    async def flags(
        self,
        *,
        state: FlagState | None = None,
        rule: str | None = None,
        user_id: UUID | None = None,
        node_id: UUID | None = None,
        before: UUID | None = None,
        limit: int,
    ) -> list[Flag]:
        """Flags, the newest first, at most `limit`, those before the id `before`."""
        ...

    async def decisions(self, flag_id: UUID) -> list[Decision]:
        """What was decided about a flag, the oldest first."""
        ...

    async def dismiss(
        self, flag_id: UUID, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> Flag | None:
        """End an active flag; None if it is not there or not active any more."""
        ...

    async def suspend(self, node_id: UUID, at: datetime, actor_id: UUID, note: str) -> Flag | None:
        """Raise a flag of `STAFF` that suspends, or return the one there is; None without such a node."""
        ...

    async def unsuspend(
        self, node_id: UUID, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> list[Flag]:
        """Dismiss all active flags of a node that suspend it; returns them."""
        ...

    async def suspension(self, node_id: UUID) -> Flag | None:
        """The first active flag that suspends a node."""
        ...

    async def unenforced(self, limit: int) -> list[Unenforced]:
        """At most `limit` nodes whose state of suspension is not what their flags tell."""
        ...

    async def prune(self, ended_before: datetime, moved_before: datetime) -> int:
        """Forget flags that ended, and moves that were made, before these times; returns how many flags."""
        ...


def worse(weight: int, dismissed: int) -> bool:
    """Whether a cause of this weight is another matter than the one that was dismissed."""
    return weight > 2 * dismissed

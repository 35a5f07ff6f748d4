"""Signs of abuse: the rules, the flags they raise, and who is suspended for them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from core.clock import Clock, to_ms
from core.errors import Conflict, InvalidInput, NotFound, StorageUnavailable
from core.logs import get_logger
from services.audit import Audit, Kind
from services.revocations import Revoked
from services.tokens import Principal
from storage.abuse import DAY, KINDS
from storage.base import (
    STAFF,
    AbuseRule,
    AbuseStore,
    Action,
    Decision,
    Flag,
    FlagState,
    NodeStore,
    Unenforced,
    UptimeStore,
)

NOTE_LENGTH = 500
CLEAR_AFTER_MOST = 90 * DAY
QUIET_DAYS_MOST = 365
VERSIONS_SHOWN = 100

log = get_logger("abuse")


class RuleChange(Struct, frozen=True, kw_only=True):
    """What an operator makes of a rule that is in `version`."""

    version: int
    enabled: bool
    action: Action
    gate: int
    parameters: Mapping[str, int]
    clear_after: int
    lifts: bool = False


class Abuse:
    """The rules and flags, as the staff and the owners of nodes use them.

    `ended` is told whose tokens are void, `changed` whose nodes have another status.
    """

    def __init__(
        self,
        *,
        store: AbuseStore,
        nodes: NodeStore,
        uptime: UptimeStore,
        audit: Audit,
        clock: Clock,
        ended: Callable[[Revoked], Awaitable[object]],
        changed: Callable[[UUID], Awaitable[object]],
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._uptime = uptime
        self._audit = audit
        self._clock = clock
        self._ended = ended
        self._changed = changed

    # --- rules ----------------------------------------------------------------------------------

    async def rules(self) -> list[AbuseRule]:
        """The newest version of each rule, by name."""
        return [rule for rule in await self._store.rules() if rule.name in KINDS]

    async def versions(self, name: str) -> list[AbuseRule]:
        """The versions of a rule, the newest first, 100 at most.

        Raises:
            NotFound: "rule_not_found".
        """
        versions = await self._store.versions(name, VERSIONS_SHOWN) if name in KINDS else []
        if not versions:
            raise NotFound("rule_not_found", "There is no rule of this name.")
        return versions

    async def change_rule(self, actor: Principal, name: str, change: RuleChange) -> AbuseRule:
        """Make the next version of a rule; it counts from the next look on.

        Raises:
            NotFound: "rule_not_found".
            InvalidInput: "invalid_input" naming the field.
            Conflict: "rule_changed": the newest version is not `change.version` any more.
        """
        former = (await self.versions(name))[0]
        _check(name, change)
        if former.version != change.version:
            raise _outdated()
        rule = AbuseRule(
            name=name,
            enabled=change.enabled,
            action=change.action,
            gate=change.gate,
            parameters=dict(change.parameters),
            clear_after=change.clear_after,
            lifts=change.lifts,
            version=former.version + 1,
            updated_at=self._clock.now(),
            updated_by=actor.user_id,
        )
        differences = _differences(former, rule)
        if not differences:
            return former
        if not await self._store.save_rule(rule):
            raise _outdated()
        await self._audit.note(
            Kind.ABUSE_RULE_CHANGED,
            actor_id=actor.user_id,
            rule=name,
            version=rule.version,
            changes="; ".join(differences),
        )
        return rule

    # --- flags ----------------------------------------------------------------------------------

    async def flags(
        self,
        actor: Principal,
        *,
        state: FlagState | None,
        rule: str | None,
        user_id: UUID | None,
        node_id: UUID | None,
        before: UUID | None,
        limit: int,
    ) -> list[Flag]:
        """Flags, the newest first, at most `limit`, those before `before`; that `actor` looked is noted.

        Raises:
            InvalidInput: "invalid_input", field "rule".
        """
        if rule is not None and rule != STAFF and rule not in KINDS:
            raise _invalid("rule", "is none there is")
        found = await self._store.flags(
            state=state, rule=rule, user_id=user_id, node_id=node_id, before=before, limit=limit
        )
        if before is None:
            await self._audit.note(
                Kind.ABUSE_FLAGS_VIEWED,
                user_id=user_id,
                actor_id=actor.user_id,
                state=state,
                rule=rule,
                node=str(node_id) if node_id else None,
            )
        return found

    async def decisions(self, actor: Principal, flag_id: UUID) -> list[Decision]:
        """What was decided about a flag, the oldest first.

        Raises:
            NotFound: "flag_not_found".
        """
        found = await self._store.decisions(flag_id)
        if not found:
            raise NotFound("flag_not_found", "There is no flag with this id.")
        await self._audit.note(Kind.ABUSE_FLAGS_VIEWED, actor_id=actor.user_id, flag=str(flag_id))
        return found

    async def of_node(self, user_id: UUID, node_id: UUID) -> list[Flag]:
        """The active flags of a person's node, the newest first.

        Raises:
            NotFound: "node_not_found", also for somebody else's.
        """
        node = await self._nodes.by_id(node_id)
        if node is None or node.user_id != user_id:
            raise NotFound("node_not_found", "You have no node with this id.")
        # One for each rule, and the staff's.
        return await self._store.flags(state="active", node_id=node_id, limit=len(KINDS) + 1)

    async def dismiss(self, actor: Principal, flag_id: UUID, note: str, quiet_days: int) -> Flag:
        """End a flag; the same cause raises none for `quiet_days`. A suspension by it ends too.

        Raises:
            InvalidInput: "invalid_input", field "note" or "quiet_days".
            NotFound: "flag_not_found": it is not there, or has ended.
        """
        note, now = _cleaned(note), self._clock.now()
        quiet_until = now + _quiet(quiet_days)
        flag = await self._store.dismiss(flag_id, now, actor.user_id, note, quiet_until)
        if flag is None:
            raise NotFound("flag_not_found", "There is no active flag with this id.")
        await self._audit.note(
            Kind.ABUSE_FLAG_DISMISSED,
            user_id=flag.user_id,
            actor_id=actor.user_id,
            node=str(flag.node_id),
            rule=flag.rule,
            flag=str(flag_id),
            note=note,
        )
        if flag.action == "suspend" and await self._store.suspension(flag.node_id) is None:
            await self.enforce(Unenforced(user_id=flag.user_id, node_id=flag.node_id, suspend=False))
        return flag

    # --- suspension -----------------------------------------------------------------------------

    async def suspend(self, actor: Principal, node_id: UUID, note: str) -> Flag:
        """Suspend a node: its tokens and connections end, and nothing it does counts. Again changes nothing.

        Raises:
            InvalidInput: "invalid_input", field "note".
            NotFound: "node_not_found".
        """
        note, now = _cleaned(note), self._clock.now()
        flag = await self._store.suspend(node_id, now, actor.user_id, note)
        if flag is None:
            raise NotFound("node_not_found", "There is no node with this id.")
        if (flag.raised_at, flag.raised_by) == (now, actor.user_id):
            await self._audit.note(
                Kind.NODE_SUSPENDED,
                user_id=flag.user_id,
                actor_id=actor.user_id,
                node=str(node_id),
                note=note,
            )
        await self.enforce(Unenforced(user_id=flag.user_id, node_id=node_id, suspend=True))
        return flag

    async def unsuspend(self, actor: Principal, node_id: UUID, note: str, quiet_days: int) -> list[Flag]:
        """Let a node in again: dismiss all flags that suspend it.

        The same causes raise none for `quiet_days`.

        Raises:
            InvalidInput: "invalid_input", field "note" or "quiet_days".
            NotFound: "node_not_found".
            Conflict: "node_not_suspended".
        """
        note, now = _cleaned(note), self._clock.now()
        quiet_until = now + _quiet(quiet_days)
        node = await self._nodes.by_id(node_id)
        if node is None:
            raise NotFound("node_not_found", "There is no node with this id.")
        ended = await self._store.unsuspend(node_id, now, actor.user_id, note, quiet_until)
        if not ended:
            raise Conflict("node_not_suspended", "The node is not suspended.")
        await self._audit.note(
            Kind.NODE_UNSUSPENDED,
            user_id=node.user_id,
            actor_id=actor.user_id,
            node=str(node_id),
            note=note,
            rules=", ".join(flag.rule for flag in ended),
        )
        await self.enforce(Unenforced(user_id=node.user_id, node_id=node_id, suspend=False))
        return ended

    async def enforce(self, each: Unenforced) -> bool:
        """Make a node's state what its flags tell; returns whether that changed it.

        Done again after a failure at any point, it does what is left. Suspending voids the node's tokens
        first: the flag, which is there already, keeps it from getting others.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        now = self._clock.now()
        if each.suspend:
            await self._nodes.end_tokens([each.node_id], now)
            revoked = Revoked(user_id=each.user_id, at_ms=to_ms(now), node_ids=(each.node_id,))
            await self._tell(self._ended(revoked))
        if await self._uptime.suspend(each.node_id, each.suspend, now) is None:
            return False
        await self._tell(self._changed(each.user_id))
        return True

    async def _tell(self, telling: Awaitable[object]) -> None:
        try:
            await telling
        except StorageUnavailable as error:
            # Void tokens are read up from the database; a page has its next value with the next change.
            log.warning("a suspension is not announced", error=str(error))


def _check(name: str, change: RuleChange) -> None:
    kind = KINDS[name]
    if change.gate not in (0, 1):
        raise _invalid("gate", "must be 0 or 1 quarters")
    if not 1 <= change.clear_after <= CLEAR_AFTER_MOST:
        raise _invalid("clear_after", f"must be 1 to {CLEAR_AFTER_MOST} seconds")
    if change.parameters.keys() != kind.parameters.keys():
        raise _invalid("parameters", f"must be {', '.join(kind.parameters)}")
    for key, parameter in kind.parameters.items():
        if not parameter.least <= change.parameters[key] <= parameter.most:
            raise _invalid(f"parameters.{key}", f"must be {parameter.least} to {parameter.most}")


def _differences(former: AbuseRule, rule: AbuseRule) -> list[str]:
    """What a version changes, each as "field: old → new"."""
    pairs = [
        (field, getattr(former, field), getattr(rule, field))
        for field in ("enabled", "action", "gate", "clear_after", "lifts")
    ]
    pairs += [(key, former.parameters.get(key), value) for key, value in sorted(rule.parameters.items())]
    return [f"{field}: {_word(old)} → {_word(new)}" for field, old, new in pairs if old != new]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cleaned(note: str) -> str:
    cleaned = note.strip()
    if not cleaned or len(cleaned) > NOTE_LENGTH or "\0" in cleaned:
        raise _invalid("note", f"must have 1 to {NOTE_LENGTH} characters")
    return cleaned


def _quiet(days: int) -> timedelta:
    if not 0 <= days <= QUIET_DAYS_MOST:
        raise _invalid("quiet_days", f"must be 0 to {QUIET_DAYS_MOST}")
    return timedelta(days=days)


def _invalid(field: str, rule: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{field}: {rule}.", field=field)


def _outdated() -> Conflict:
    return Conflict("rule_changed", "The rule was changed meanwhile; read it again.")

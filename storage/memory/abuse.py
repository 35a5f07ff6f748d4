"""Signs of abuse: rules and flags."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from msgspec.structs import replace

from core.clock import new_id, to_ms
from storage.base import (
    STAFF,
    AbuseRule,
    Decision,
    Flag,
    FlagState,
    Judged,
    Node,
    RuleGate,
    Unenforced,
    worse,
)
from storage.memory.database import MemoryDatabase, require_storable
from storage.memory.signals import SIGNALS, Finding


class MemoryAbuse:
    """`AbuseStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def rules(self) -> list[AbuseRule]:
        return [versions[-1] for _, versions in sorted(self._db.rules.items())]

    async def versions(self, name: str, limit: int) -> list[AbuseRule]:
        return self._db.rules.get(name, [])[::-1][:limit]

    async def save_rule(self, rule: AbuseRule) -> bool:
        versions = self._db.rules.get(rule.name)
        if not versions or versions[-1].version != rule.version - 1:
            return False
        versions.append(rule)
        return True

    async def judge(self, rule: AbuseRule, at: datetime, limit: int) -> Judged:
        wanted = self._wanted(rule, at)
        standing = {
            flag.node_id: flag
            for flag in self._db.flags.values()
            if flag.rule == rule.name and flag.state == "active"
        }
        gate = rule.gate if rule.action == "gate" else None
        changed = cleared = 0
        for node_id, flag in standing.items():
            finding = wanted.get(node_id)
            if finding is None:
                cleared += self._gone(rule, flag, at)
                continue
            if not _is_news(flag, finding, rule):
                continue
            found = replace(
                flag,
                subject=finding.subject,
                weight=finding.weight,
                evidence=finding.evidence,
                rule_version=rule.version,
                gone_since=None,
                action=flag.action if flag.action == "suspend" else rule.action,
                gate=flag.gate if flag.action == "suspend" else gate,
            )
            self._put(found)
            if (found.action, found.gate) != (flag.action, flag.gate):
                changed += 1
                self._decide(found, "changed", at)
        fresh = [finding for node_id, finding in wanted.items() if node_id not in standing][:limit]
        for finding in fresh:
            raised = Flag(
                flag_id=new_id(),
                user_id=finding.user_id,
                node_id=finding.node_id,
                rule=rule.name,
                rule_version=rule.version,
                subject=finding.subject,
                weight=finding.weight,
                evidence=finding.evidence,
                action=rule.action,
                gate=gate,
                state="active",
                raised_at=at,
            )
            self._put(raised)
            self._decide(raised, "raised", at)
        return Judged(raised=len(fresh), changed=changed, cleared=cleared)

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
        found = [
            flag
            for flag in self._db.flags.values()
            if state in (None, flag.state)
            and rule in (None, flag.rule)
            and user_id in (None, flag.user_id)
            and node_id in (None, flag.node_id)
            and (before is None or flag.flag_id < before)
        ]
        return sorted(found, key=lambda flag: flag.flag_id, reverse=True)[:limit]

    async def decisions(self, flag_id: UUID) -> list[Decision]:
        return list(self._db.decisions.get(flag_id, ()))

    async def dismiss(
        self, flag_id: UUID, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> Flag | None:
        flag = self._db.flags.get(flag_id)
        if flag is None or flag.state != "active":
            return None
        return self._dismiss(flag, at, actor_id, note, quiet_until)

    async def suspend(self, node_id: UUID, at: datetime, actor_id: UUID, note: str) -> Flag | None:
        require_storable(note)
        node = self._db.nodes.get(node_id)
        standing = await self.flags(state="active", rule=STAFF, node_id=node_id, limit=1)
        if standing or node is None:
            return standing[0] if standing else None
        return self._suspend(node, at, actor_id, note)

    async def unsuspend(
        self, node_id: UUID, at: datetime, actor_id: UUID, note: str, quiet_until: datetime
    ) -> list[Flag]:
        return [self._dismiss(flag, at, actor_id, note, quiet_until) for flag in self._suspending(node_id)]

    async def suspension(self, node_id: UUID) -> Flag | None:
        return next(iter(self._suspending(node_id)), None)

    async def unenforced(self, limit: int) -> list[Unenforced]:
        found = []
        for node_id in sorted(self._db.nodes):
            state, suspend = self._db.states[node_id], bool(self._suspending(node_id))
            if state.suspended != suspend:
                found.append(Unenforced(user_id=state.user_id, node_id=node_id, suspend=suspend))
        return found[:limit]

    async def prune(self, ended_before: datetime, moved_before: datetime) -> int:
        moved_ms = to_ms(moved_before)
        for key, kept in list(self._db.moves.items()):
            if max(kept.move.at_ms, (kept.overlap_to or 0) * 1000) < moved_ms:
                del self._db.moves[key]
        old = [
            flag.flag_id
            for flag in self._db.flags.values()
            if flag.ended_at and max(flag.ended_at, flag.quiet_until or flag.ended_at) < ended_before
        ]
        for flag_id in old:
            del self._db.flags[flag_id], self._db.decisions[flag_id]
        return len(old)

    def _wanted(self, rule: AbuseRule, at: datetime) -> dict[UUID, Finding]:
        """The gravest cause for each node, without those that were dismissed."""
        best: dict[UUID, Finding] = {}
        if not rule.enabled:
            return best
        for finding in SIGNALS[rule.name](self._db, rule.parameters, at):
            if finding.node_id not in self._db.nodes or self._dismissed(rule, finding, at):
                continue
            other = best.get(finding.node_id)
            if other is None or (-finding.weight, finding.subject) < (-other.weight, other.subject):
                best[finding.node_id] = finding
        return best

    def _dismissed(self, rule: AbuseRule, finding: Finding, at: datetime) -> bool:
        return any(
            flag.node_id == finding.node_id
            and flag.rule == rule.name
            and flag.state == "dismissed"
            and flag.subject == finding.subject
            and flag.quiet_until is not None
            and flag.quiet_until > at
            and not worse(finding.weight, flag.weight)
            for flag in self._db.flags.values()
        )

    def _gone(self, rule: AbuseRule, flag: Flag, at: datetime) -> bool:
        """The cause is not there: remember since when, or clear the flag; returns whether it was."""
        since = flag.gone_since or at
        ends = flag.action != "suspend" or rule.lifts
        past = not rule.enabled or (
            flag.gone_since is not None and since <= at - timedelta(seconds=rule.clear_after)
        )
        if not (ends and past):
            self._put(replace(flag, gone_since=since))
            return False
        cleared = replace(flag, state="cleared", gone_since=since, ended_at=at)
        self._put(cleared)
        self._decide(cleared, "cleared", at)
        return True

    def _suspend(self, node: Node, at: datetime, actor_id: UUID, note: str) -> Flag:
        flag = Flag(
            flag_id=new_id(),
            user_id=node.user_id,
            node_id=node.node_id,
            rule=STAFF,
            rule_version=1,
            subject="",
            weight=1,
            evidence={"note": note},
            action="suspend",
            gate=None,
            state="active",
            raised_at=at,
            raised_by=actor_id,
            note=note,
        )
        self._put(flag)
        self._decide(flag, "raised", at, actor_id, note)
        return flag

    def _dismiss(self, flag: Flag, at: datetime, actor_id: UUID, note: str, quiet_until: datetime) -> Flag:
        require_storable(note)
        ended = replace(
            flag, state="dismissed", ended_at=at, ended_by=actor_id, note=note, quiet_until=quiet_until
        )
        self._put(ended)
        self._decide(ended, "dismissed", at, actor_id, note)
        return ended

    def _suspending(self, node_id: UUID) -> list[Flag]:
        return [flag for flag in self._db.active_flags(node_id) if flag.action == "suspend"]

    def _put(self, flag: Flag) -> None:
        keep_flag(self._db, flag)

    def _decide(
        self,
        flag: Flag,
        decision: Literal["raised", "changed", "cleared", "dismissed"],
        at: datetime,
        actor_id: UUID | None = None,
        note: str = "",
    ) -> None:
        keep_decision(self._db, flag, decision, at, actor_id=actor_id, note=note)


def keep_flag(database: MemoryDatabase, flag: Flag) -> None:
    """Store a flag, and what it does to its node's score."""
    database.flags[flag.flag_id] = flag
    _keep_gates(database, flag.node_id)


def keep_decision(
    database: MemoryDatabase,
    flag: Flag,
    decision: Literal["raised", "changed", "cleared", "dismissed"],
    at: datetime,
    *,
    actor_id: UUID | None = None,
    note: str = "",
) -> None:
    """Store what was decided about a flag, with its evidence of now."""
    database.decisions.setdefault(flag.flag_id, []).append(
        Decision(
            at=at,
            decision=decision,
            action=flag.action,
            gate=flag.gate,
            rule_version=flag.rule_version,
            evidence=flag.evidence,
            actor_id=actor_id,
            note=note,
        )
    )


def follow_key(database: MemoryDatabase, node: Node) -> None:
    """Have `node` suspended by what suspended the retired node that had its key.

    To somebody else's node it goes without the addresses of the one before.
    """
    former = database.suspended_keys.pop(node.public_key, None)
    flags = [] if former is None else database.active_flags(former)
    for flag in flags:
        if flag.action != "suspend":
            continue
        moved = replace(flag, user_id=node.user_id, node_id=node.node_id)
        if flag.user_id != node.user_id:
            moved = replace(moved, subject="", evidence=_placeless(flag.evidence))
            database.decisions[flag.flag_id] = [
                replace(each, evidence=_placeless(each.evidence)) for each in database.decisions[flag.flag_id]
            ]
        keep_flag(database, moved)
        _keep_gates(database, flag.node_id)
        keep_decision(database, moved, "changed", node.created_at, note="Its key was enrolled again.")


def _placeless(evidence: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in evidence.items() if key not in {"address", "addresses"}}


def _keep_gates(database: MemoryDatabase, node_id: UUID) -> None:
    gates = [
        RuleGate(
            rule=flag.rule,
            quarters=0 if flag.action == "suspend" else flag.gate or 0,
            evidence=flag.evidence,
        )
        for flag in database.active_flags(node_id)
        if flag.action != "flag"
    ]
    if gates:
        database.gates[node_id] = gates
    else:
        database.gates.pop(node_id, None)


def _is_news(flag: Flag, finding: Finding, rule: AbuseRule) -> bool:
    """Whether a flag has to change. The number of a crowd does all the time: only a twentieth is news."""
    if flag.gone_since or flag.rule_version != rule.version or flag.subject != finding.subject:
        return True
    if flag.weight == finding.weight:
        return flag.evidence != finding.evidence
    return abs(flag.weight - finding.weight) * 20 > flag.weight

"""Signs of abuse: rules and flags for the staff, and what is held against a node for its owner."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from services.abuse import Abuse, RuleChange
from services.reasons import reason, shown
from services.tokens import Principal
from storage.abuse import KINDS
from storage.base import AbuseRule, Action, Decision, Flag, FlagState

QUIET_DAYS = 7

RuleName = Annotated[str | None, QueryParameter(max_length=64, description="Only flags of this rule.")]
StateName = Annotated[FlagState | None, QueryParameter(name="state", description="Only flags in this state.")]


class ParameterView(Struct):
    """A whole number that a rule takes, its bounds, and what it means."""

    name: str
    value: int
    least: int
    most: int
    meaning: str


class RuleView(Struct):
    """A rule. `gate` is in quarters of the score and counts with action "gate"; times are in seconds.

    A flag clears when its cause has been gone for `clear_after`; a suspension only if the rule `lifts`.
    """

    name: str
    meaning: str
    enabled: bool
    action: Action
    gate: int
    parameters: list[ParameterView]
    clear_after: int
    lifts: bool
    version: int
    updated_at: datetime
    updated_by: UUID | None


class RuleList(Struct):
    """All rules by name."""

    items: list[RuleView]


class RuleHistory(Struct):
    """The versions of a rule, the newest first, 100 at most."""

    items: list[RuleView]


class RuleUpdate(Struct, forbid_unknown_fields=True):
    """What a rule is to be, every parameter included. `version` is the one that was read."""

    version: int
    enabled: bool
    action: Action
    gate: int
    parameters: dict[str, int]
    clear_after: int
    lifts: bool = False


class FlagView(Struct):
    """A flag on a node as the staff sees it. `gate` is in quarters of the score."""

    flag_id: UUID
    user_id: UUID
    node_id: UUID
    rule: str
    rule_version: int
    reason: str
    evidence: dict[str, Any]
    action: Action
    gate: int | None
    state: FlagState
    raised_at: datetime
    raised_by: UUID | None
    gone_since: datetime | None
    ended_at: datetime | None
    ended_by: UUID | None
    note: str
    quiet_until: datetime | None


class FlagPage(Struct):
    """A page of flags, the newest first; `next_cursor` is null on the last."""

    items: list[FlagView]
    next_cursor: str | None


class DecisionView(Struct):
    """What was decided about a flag, and by what evidence; without `actor_id` by a rule."""

    at: datetime
    decision: Literal["raised", "changed", "cleared", "dismissed"]
    action: Action
    gate: int | None
    rule_version: int
    evidence: dict[str, Any]
    actor_id: UUID | None
    note: str


class DecisionList(Struct):
    """All decisions about a flag, the oldest first."""

    items: list[DecisionView]


class Suspension(Struct, forbid_unknown_fields=True):
    """Why a node is suspended: its owner reads the `note` (1 to 500 characters)."""

    note: str


class Dismissal(Struct, forbid_unknown_fields=True):
    """Why a flag ends (1 to 500 characters). The same cause raises none for `quiet_days`, 0 to 365."""

    note: str
    quiet_days: int = QUIET_DAYS


class FlagList(Struct):
    """The flags that were dismissed."""

    items: list[FlagView]


class OwnFlag(Struct):
    """What is held against one of one's nodes, and what it does: `gate` quarters of the score are left."""

    rule: str
    reason: str
    action: Action
    gate: int | None
    since: datetime
    evidence: dict[str, Any]


class OwnFlags(Struct):
    """All that is held against a node now, the newest first."""

    items: list[OwnFlag]


@get("/admin/abuse/rules", opt=may("operator"), responses=fails())
async def list_rules(abuse: NamedDependency[Abuse]) -> RuleList:
    """The rules that look for abuse."""
    return RuleList([_rule(rule) for rule in await abuse.rules()])


@get("/admin/abuse/rules/{name:str}", opt=may("operator"), responses=fails("rule_not_found"))
async def rule_history(name: FromPath[str], abuse: NamedDependency[Abuse]) -> RuleHistory:
    """A rule and its former versions: who changed what, and when."""
    return RuleHistory([_rule(rule) for rule in await abuse.versions(name)])


@put("/admin/abuse/rules/{name:str}", opt=may("operator"), responses=fails("rule_not_found", "rule_changed"))
async def change_rule(
    name: FromPath[str],
    data: JSONBody[RuleUpdate],
    principal: NamedDependency[Principal],
    abuse: NamedDependency[Abuse],
) -> RuleView:
    """Change a rule; it looks again within `network.rules_interval`."""
    change = RuleChange(
        version=data.version,
        enabled=data.enabled,
        action=data.action,
        gate=data.gate,
        parameters=data.parameters,
        clear_after=data.clear_after,
        lifts=data.lifts,
    )
    return _rule(await abuse.change_rule(principal, name, change))


@get("/admin/abuse/flags", opt=may("support"), responses=fails())
async def list_flags(  # noqa: PLR0917  # the framework passes all by name
    principal: NamedDependency[Principal],
    abuse: NamedDependency[Abuse],
    only: StateName = None,
    rule: RuleName = None,
    user: Annotated[UUID | None, QueryParameter(description="Only flags on nodes of this person.")] = None,
    node: Annotated[UUID | None, QueryParameter(description="Only flags on this node.")] = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> FlagPage:
    """Flags on nodes, the newest first."""
    found = await abuse.flags(
        principal,
        state=only,
        rule=rule,
        user_id=user,
        node_id=node,
        before=position(cursor),
        limit=limit + 1,
    )
    page, last = split(found, limit)
    return FlagPage([_flag(flag) for flag in page], cursor_of(last.flag_id) if last else None)


@get("/admin/abuse/flags/{flag_id:uuid}/decisions", opt=may("support"), responses=fails("flag_not_found"))
async def list_decisions(
    flag_id: FromPath[UUID], principal: NamedDependency[Principal], abuse: NamedDependency[Abuse]
) -> DecisionList:
    """What was decided about a flag, with the evidence of each time."""
    return DecisionList([_decision(each) for each in await abuse.decisions(principal, flag_id)])


@post(
    "/admin/abuse/flags/{flag_id:uuid}/dismiss",
    status_code=200,
    opt=may("support"),
    responses=fails("flag_not_found"),
)
async def dismiss_flag(
    flag_id: FromPath[UUID],
    data: JSONBody[Dismissal],
    principal: NamedDependency[Principal],
    abuse: NamedDependency[Abuse],
) -> FlagView:
    """End a flag that is active. What it did to the node ends too."""
    return _flag(await abuse.dismiss(principal, flag_id, data.note, data.quiet_days))


@post(
    "/admin/nodes/{node_id:uuid}/suspend",
    status_code=200,
    opt=may("support"),
    responses=fails("node_not_found"),
)
async def suspend_node(
    node_id: FromPath[UUID],
    data: JSONBody[Suspension],
    principal: NamedDependency[Principal],
    abuse: NamedDependency[Abuse],
) -> FlagView:
    """Suspend a node: its connection and tokens end, and nothing it does counts."""
    return _flag(await abuse.suspend(principal, node_id, data.note))


@post(
    "/admin/nodes/{node_id:uuid}/unsuspend",
    status_code=200,
    opt=may("support"),
    responses=fails("node_not_found", "node_not_suspended"),
)
async def unsuspend_node(
    node_id: FromPath[UUID],
    data: JSONBody[Dismissal],
    principal: NamedDependency[Principal],
    abuse: NamedDependency[Abuse],
) -> FlagList:
    """Let a suspended node in again; answers with the flags that suspended it."""
    ended = await abuse.unsuspend(principal, node_id, data.note, data.quiet_days)
    return FlagList([_flag(flag) for flag in ended])


@get("/nodes/{node_id:uuid}/flags", opt=may("user"), responses=fails("node_not_found"))
async def node_flags(
    node_id: FromPath[UUID], principal: NamedDependency[Principal], abuse: NamedDependency[Abuse]
) -> OwnFlags:
    """What is held against one of one's nodes, and why."""
    return OwnFlags([_own(flag) for flag in await abuse.of_node(principal.user_id, node_id)])


def _rule(rule: AbuseRule) -> RuleView:
    kind = KINDS[rule.name]
    return RuleView(
        name=rule.name,
        meaning=kind.meaning,
        enabled=rule.enabled,
        action=rule.action,
        gate=rule.gate,
        parameters=[
            ParameterView(key, rule.parameters[key], each.least, each.most, each.meaning)
            for key, each in kind.parameters.items()
        ],
        clear_after=rule.clear_after,
        lifts=rule.lifts,
        version=rule.version,
        updated_at=rule.updated_at,
        updated_by=rule.updated_by,
    )


def _flag(flag: Flag) -> FlagView:
    return FlagView(
        flag_id=flag.flag_id,
        user_id=flag.user_id,
        node_id=flag.node_id,
        rule=flag.rule,
        rule_version=flag.rule_version,
        reason=reason(flag.rule, flag.evidence),
        evidence=flag.evidence,
        action=flag.action,
        gate=flag.gate,
        state=flag.state,
        raised_at=flag.raised_at,
        raised_by=flag.raised_by,
        gone_since=flag.gone_since,
        ended_at=flag.ended_at,
        ended_by=flag.ended_by,
        note=flag.note,
        quiet_until=flag.quiet_until,
    )


def _decision(each: Decision) -> DecisionView:
    return DecisionView(
        at=each.at,
        decision=each.decision,
        action=each.action,
        gate=each.gate,
        rule_version=each.rule_version,
        evidence=each.evidence,
        actor_id=each.actor_id,
        note=each.note,
    )


def _own(flag: Flag) -> OwnFlag:
    return OwnFlag(
        rule=flag.rule,
        reason=reason(flag.rule, flag.evidence),
        action=flag.action,
        gate=flag.gate,
        since=flag.raised_at,
        evidence=shown(flag.evidence),
    )


abuse_admin = Router(
    "/",
    route_handlers=[
        list_rules,
        rule_history,
        change_rule,
        list_flags,
        list_decisions,
        dismiss_flag,
        suspend_node,
        unsuspend_node,
    ],
    tags=["admin"],
)
flags_of_nodes = Router("/", route_handlers=[node_flags], tags=["nodes"])

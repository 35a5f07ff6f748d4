"""The staff's part in the rules of abuse, and what a suspension does."""

from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import House, token_signature
from support.stores import make_user

from core.clock import new_id
from core.errors import Conflict, Forbidden, InvalidInput, NotFound, StorageUnavailable
from services.abuse import RuleChange
from services.reasons import reason, shown
from services.tokens import Principal
from storage.abuse import KINDS
from storage.base import STAFF, AbuseRule, AuditEvent, Batch, Node, Opened, Place

PLACE = Place(country="NL", subnet="198.51.100.0/24")


@pytest.fixture
async def operator(house: House) -> Principal:
    user = make_user(role="operator")
    await house.stores.users.add(user)
    return house.tokens.verify((await house.sessions.open(user, "", "")).access_token)


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
async def node(house: House, key: Ed25519PrivateKey) -> Node:
    return await house.node(await house.person(), key)


async def noted(house: House, kind: str) -> list[AuditEvent]:
    return await house.audit.read(user_id=None, kind=kind, before=None, limit=50)


async def rule_of(house: House, name: str = "shared_address") -> AbuseRule:
    return (await house.abuse.versions(name))[0]


def change_of(rule: AbuseRule, **changes: object) -> RuleChange:
    facts = {
        "version": rule.version,
        "enabled": rule.enabled,
        "action": rule.action,
        "gate": rule.gate,
        "parameters": rule.parameters,
        "clear_after": rule.clear_after,
        "lifts": rule.lifts,
    }
    return RuleChange(**{**facts, **changes})


async def token(house: House, node: Node, key: Ed25519PrivateKey) -> Principal:
    house.clock.advance(timedelta(milliseconds=1))
    signature = token_signature(key, node, house.now_ms)
    return house.tokens.verify((await house.networks.node_token(node.node_id, house.now_ms, signature))[0])


async def state_of(house: House, node: Node) -> str:
    (totals,) = (await house.uptime.totals([node.user_id]))[node.user_id].nodes
    return totals.status


# --- rules ----------------------------------------------------------------------------------------


async def test_a_change_of_a_rule_is_written_down_with_old_and_new(house: House, operator: Principal) -> None:
    former = await rule_of(house)
    changed = await house.abuse.change_rule(
        operator, "shared_address", change_of(former, enabled=False, parameters={"nodes": 5})
    )
    assert (changed.version, changed.enabled, changed.parameters) == (2, False, {"nodes": 5})
    assert (changed.updated_at, changed.updated_by) == (house.clock.now(), operator.user_id)
    assert await house.abuse.versions("shared_address") == [changed, former]
    (event,) = await noted(house, "abuse.rule_changed")
    assert event.actor_id == operator.user_id
    assert event.facts == {
        "rule": "shared_address",
        "version": 2,
        "changes": "enabled: true → false; nodes: 2 → 5",
    }


async def test_a_change_that_changes_nothing_makes_no_version(house: House, operator: Principal) -> None:
    former = await rule_of(house)
    assert await house.abuse.change_rule(operator, "shared_address", change_of(former)) == former
    assert await noted(house, "abuse.") == []


async def test_a_change_to_an_older_version_is_refused(house: House, operator: Principal) -> None:
    former = await rule_of(house)
    await house.abuse.change_rule(operator, "shared_address", change_of(former, gate=0))
    with pytest.raises(Conflict, match="rule_changed"):
        await house.abuse.change_rule(operator, "shared_address", change_of(former, clear_after=9))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gate": 2}, "gate"),
        ({"gate": -1}, "gate"),
        ({"clear_after": 0}, "clear_after"),
        ({"clear_after": 10**9}, "clear_after"),
        ({"parameters": {}}, "parameters"),
        ({"parameters": {"nodes": 3, "more": 1}}, "parameters"),
        ({"parameters": {"nodes": 1}}, "parameters.nodes"),
        ({"parameters": {"nodes": 10**30}}, "parameters.nodes"),
    ],
)
async def test_a_value_out_of_bounds_is_refused(
    house: House, operator: Principal, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await house.abuse.change_rule(operator, "shared_address", change_of(await rule_of(house), **changes))
    assert refused.value.extra == {"field": field}


async def test_a_rule_that_there_is_not_is_not_found(house: House, operator: Principal) -> None:
    with pytest.raises(NotFound, match="rule_not_found"):
        await house.abuse.versions("nonsense")
    with pytest.raises(NotFound, match="rule_not_found"):
        await house.abuse.change_rule(operator, STAFF, change_of(await rule_of(house)))


def test_every_rule_is_shipped_within_its_bounds() -> None:
    for kind in KINDS.values():
        assert kind.gate in {0, 1}
        assert all(each.least <= each.shipped <= each.most for each in kind.parameters.values())


# --- suspension -----------------------------------------------------------------------------------


async def test_a_suspended_node_gets_no_token_loses_its_own_and_counts_no_more(
    house: House, operator: Principal, node: Node, key: Ed25519PrivateKey
) -> None:
    former = await token(house, node, key)
    connected = Opened(node.node_id, new_id(), house.now_ms, "198.51.100.1")
    await house.uptime.apply([Batch("w1", 1, [connected])], {"198.51.100.1": PLACE})
    assert await state_of(house, node) == "online"
    flag = await house.abuse.suspend(operator, node.node_id, "  sold its key ")
    assert (flag.rule, flag.note, flag.raised_by) == (STAFF, "sold its key", operator.user_id)
    assert await state_of(house, node) == "suspended"
    assert house.revocations.revoked(former)
    (revoked,) = house.ended
    assert (revoked.user_id, revoked.node_ids, revoked.at_ms) == (node.user_id, (node.node_id,), house.now_ms)
    assert house.changed == [node.user_id]
    with pytest.raises(Forbidden, match="node_suspended") as refused:
        await token(house, node, key)
    assert refused.value.detail == "This node is suspended. The operators suspended this node: sold its key"
    (event,) = await noted(house, "node.suspended")
    assert (event.user_id, event.actor_id) == (node.user_id, operator.user_id)
    assert event.facts == {"node": str(node.node_id), "note": "sold its key"}
    assert [each.rule for each in await house.abuse.of_node(node.user_id, node.node_id)] == [STAFF]


async def test_a_stranger_does_not_learn_who_is_suspended(
    house: House, operator: Principal, node: Node
) -> None:
    await house.abuse.suspend(operator, node.node_id, "no")
    wrong = token_signature(Ed25519PrivateKey.generate(), node, house.now_ms)
    with pytest.raises(Exception, match="node_rejected"):
        await house.networks.node_token(node.node_id, house.now_ms, wrong)


async def test_suspending_again_changes_nothing(house: House, operator: Principal, node: Node) -> None:
    first = await house.abuse.suspend(operator, node.node_id, "one")
    house.clock.advance(timedelta(minutes=1))
    assert await house.abuse.suspend(operator, node.node_id, "two") == first
    assert len(await noted(house, "node.suspended")) == 1
    assert house.changed == [node.user_id]


async def test_a_node_that_is_let_in_again_needs_a_new_token_and_nothing_else(
    house: House, operator: Principal, node: Node, key: Ed25519PrivateKey
) -> None:
    former = await token(house, node, key)
    await house.abuse.suspend(operator, node.node_id, "no")
    house.clock.advance(timedelta(minutes=1))
    ended = await house.abuse.unsuspend(operator, node.node_id, "a mistake", 3)
    assert [(flag.state, flag.note) for flag in ended] == [("dismissed", "a mistake")]
    assert ended[0].quiet_until == house.clock.now() + timedelta(days=3)
    assert await state_of(house, node) == "offline"
    assert house.changed == [node.user_id] * 2
    assert house.revocations.revoked(former)
    assert not house.revocations.revoked(await token(house, node, key))
    (event,) = await noted(house, "node.unsuspended")
    assert event.facts == {"node": str(node.node_id), "note": "a mistake", "rules": STAFF}
    with pytest.raises(Conflict, match="node_not_suspended"):
        await house.abuse.unsuspend(operator, node.node_id, "again", 3)


async def test_dismissing_what_suspends_lets_in(
    house: House, operator: Principal, node: Node, key: Ed25519PrivateKey
) -> None:
    flag = await house.abuse.suspend(operator, node.node_id, "no")
    await house.abuse.dismiss(operator, flag.flag_id, "a mistake", 0)
    assert await state_of(house, node) == "offline"
    await token(house, node, key)
    (event,) = await noted(house, "abuse.flag_dismissed")
    assert event.facts["rule"] == STAFF
    with pytest.raises(NotFound, match="flag_not_found"):
        await house.abuse.dismiss(operator, flag.flag_id, "again", 0)


async def test_a_suspension_holds_though_nobody_could_be_told(
    house: House, operator: Principal, node: Node, key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise StorageUnavailable("Redis is away")

    monkeypatch.setattr(house.abuse, "_ended", away)
    monkeypatch.setattr(house.abuse, "_changed", away)
    await house.abuse.suspend(operator, node.node_id, "no")
    assert await state_of(house, node) == "suspended"
    ended = await house.stores.nodes.ended_since(house.clock.now() - timedelta(minutes=1))
    assert [node_id for each in ended for node_id in each if node_id == node.node_id]


async def test_what_a_crash_left_undone_is_done_later(
    house: House, operator: Principal, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> UUID:
        raise StorageUnavailable("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(house.uptime, "suspend", crash)
        with pytest.raises(StorageUnavailable):
            await house.abuse.suspend(operator, node.node_id, "no")
    (left,) = await house.stores.abuse.unenforced(9)
    assert (left.node_id, left.suspend) == (node.node_id, True)
    assert await house.abuse.enforce(left)
    assert not await house.abuse.enforce(left)
    assert await state_of(house, node) == "suspended"


@pytest.mark.parametrize("note", ["", "  ", "x" * 501, "a\0b"])
async def test_a_note_is_needed(house: House, operator: Principal, node: Node, note: str) -> None:
    for call in (
        house.abuse.suspend(operator, node.node_id, note),
        house.abuse.unsuspend(operator, node.node_id, note, 1),
        house.abuse.dismiss(operator, new_id(), note, 1),
    ):
        with pytest.raises(InvalidInput) as refused:
            await call
        assert refused.value.extra == {"field": "note"}


@pytest.mark.parametrize("days", [-1, 366])
async def test_the_days_of_quiet_are_bounded(house: House, operator: Principal, days: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        await house.abuse.dismiss(operator, new_id(), "no", days)
    assert refused.value.extra == {"field": "quiet_days"}


async def test_who_is_not_there_is_not_found(house: House, operator: Principal, node: Node) -> None:
    stranger = new_id()
    for call in (
        house.abuse.suspend(operator, stranger, "no"),
        house.abuse.unsuspend(operator, stranger, "no", 1),
        house.abuse.of_node(stranger, node.node_id),
        house.abuse.of_node(node.user_id, stranger),
    ):
        with pytest.raises(NotFound, match="node_not_found"):
            await call
    with pytest.raises(NotFound, match="flag_not_found"):
        await house.abuse.decisions(operator, stranger)


async def test_looking_at_flags_is_written_down(house: House, operator: Principal, node: Node) -> None:
    flag = await house.abuse.suspend(operator, node.node_id, "no")
    found = await house.abuse.flags(
        operator, state="active", rule=STAFF, user_id=None, node_id=node.node_id, before=None, limit=5
    )
    assert found == [flag]
    assert [each.decision for each in await house.abuse.decisions(operator, flag.flag_id)] == ["raised"]
    assert len(await noted(house, "abuse.flags_viewed")) == 2
    with pytest.raises(InvalidInput):
        await house.abuse.flags(
            operator, state=None, rule="nonsense", user_id=None, node_id=None, before=None, limit=5
        )


# --- sentences ------------------------------------------------------------------------------------

EVIDENCE: dict[str, dict[str, object]] = {
    "shared_address": {"nodes": 3, "address": "198.51.100.1"},
    "shared_subnet": {"nodes": 70, "subnet": "198.51.100.0/24"},
    "shared_asn": {"nodes": 5000, "asn": 64500},
    "two_places": {"times": 1, "seconds": 61, "addresses": ["198.51.100.1", "203.0.113.9"]},
    "impossible_travel": {"km": 900, "minutes": 3, "km_h": 18000, "from": "NL", "to": None, "times": 1},
    "identical_timing": {"nodes": 5, "times": 6, "of": "owner"},
    "failing_challenges": {"refused": 20, "asked": 80, "percent": 25},
    STAFF: {"note": "sold its key"},
}


def test_every_rule_has_a_sentence_and_its_owner_sees_the_evidence() -> None:
    assert EVIDENCE.keys() == {*KINDS, STAFF}
    for rule, evidence in EVIDENCE.items():
        assert reason(rule, evidence)[-1] in ".y", rule
        assert shown(evidence) == evidence
    assert reason("shared_address", EVIDENCE["shared_address"]) == "This node's address is shared by 3 nodes."
    assert "nodes in its network" in reason("identical_timing", {"nodes": 5, "times": 6, "of": "subnet"})


def test_what_is_not_known_to_be_ones_own_is_not_shown() -> None:
    assert shown({"nodes": 3, "others": ["somebody"]}) == {"nodes": 3}
    assert reason("a rule of tomorrow", {}) == "A rule found something unusual about this node."

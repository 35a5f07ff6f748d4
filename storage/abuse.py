"""The rules of abuse as they are shipped: what each takes, within which bounds, and what it does."""

from datetime import UTC, datetime

from msgspec import Struct

from storage.base import AbuseRule, Action

HOUR = 3600
DAY = 24 * HOUR
SHIPPED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Parameter(Struct, frozen=True):
    """A whole number that a rule takes: as shipped, its bounds, and what it means."""

    shipped: int
    least: int
    most: int
    meaning: str


class Kind(Struct, frozen=True):
    """A rule: what it looks for, and how it is shipped."""

    meaning: str
    action: Action
    gate: int
    clear_after: int
    parameters: dict[str, Parameter]


_NODES = 10_000_000
_HOURS = Parameter(24, 1, 72, "Hours that are looked at.")

KINDS: dict[str, Kind] = {
    "shared_address": Kind(
        "Several nodes are online at one public address.",
        "gate",
        1,
        HOUR,
        {"nodes": Parameter(2, 2, _NODES, "Nodes at one address from which on it counts as shared.")},
    ),
    "shared_subnet": Kind(
        "Many nodes are online in one /24, or in one /64, which is what a single household has.",
        "gate",
        1,
        HOUR,
        {
            "nodes_24": Parameter(64, 2, _NODES, "Nodes in a /24 (IPv4)."),
            "nodes_64": Parameter(3, 2, _NODES, "Nodes in a /64 (IPv6)."),
        },
    ),
    "shared_asn": Kind(
        "A large part of the network is in one autonomous system.",
        "flag",
        1,
        6 * HOUR,
        {
            "nodes": Parameter(5000, 2, _NODES, "Nodes in one autonomous system, at least."),
            "percent": Parameter(20, 0, 100, "Their share of all nodes that are online, at least."),
        },
    ),
    "two_places": Kind(
        "One key went on answering from an address after it had come from another.",
        "gate",
        0,
        6 * HOUR,
        {
            "grace": Parameter(60, 0, HOUR, "Seconds that both may answer: a change of network."),
            "hours": _HOURS,
        },
    ),
    "impossible_travel": Kind(
        "A node came from places between which nobody travels as fast.",
        "gate",
        1,
        6 * HOUR,
        {
            "km_h": Parameter(1000, 1, 1_000_000, "Kilometres an hour that are possible."),
            "km": Parameter(500, 0, 20_038, "Kilometres below which places are too vague."),
            "hours": _HOURS,
        },
    ),
    "identical_timing": Kind(
        "Nodes of one owner or subnet begin and end their sessions in the same seconds, again and again.",
        "flag",
        1,
        12 * HOUR,
        {
            "nodes": Parameter(5, 2, _NODES, "Nodes that do it together."),
            "times": Parameter(6, 1, 10_000, "Times that each did."),
            "hours": _HOURS,
        },
    ),
    "failing_challenges": Kind(
        "Answers to challenges were refused: late, repeated or wrongly signed.",
        "gate",
        0,
        3 * HOUR,
        {
            "refused": Parameter(20, 1, 1_000_000, "Refused answers, at least."),
            "percent": Parameter(20, 0, 100, "Their share of all challenges, at least."),
            "hours": Parameter(3, 1, 72, "Hours that are looked at, the current one included."),
        },
    ),
}


def shipped() -> list[AbuseRule]:
    """The first version of every rule, as the schema has it."""
    return [
        AbuseRule(
            name=name,
            enabled=True,
            action=kind.action,
            gate=kind.gate,
            parameters={key: parameter.shipped for key, parameter in kind.parameters.items()},
            clear_after=kind.clear_after,
            updated_at=SHIPPED_AT,
        )
        for name, kind in sorted(KINDS.items())
    ]

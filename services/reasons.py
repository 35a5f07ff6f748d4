"""What a flag says of a node, in a sentence that its owner can read."""

from collections.abc import Callable, Mapping
from typing import Any

from storage.base import STAFF

Evidence = Mapping[str, Any]


def reason(rule: str, evidence: Evidence) -> str:
    """One sentence about what a rule found; it names nobody else's nodes or addresses."""
    make = _SENTENCES.get(rule)
    return make(evidence) if make else "A rule found something unusual about this node."


def shown(evidence: Evidence) -> dict[str, Any]:
    """The evidence as the node's owner may see it: numbers, and the node's own addresses and places."""
    return {key: value for key, value in evidence.items() if key in _SHOWN}


_SHOWN = frozenset(
    {
        "nodes",
        "address",
        "subnet",
        "asn",
        "times",
        "seconds",
        "addresses",
        "km",
        "minutes",
        "km_h",
        "from",
        "to",
        "of",
        "refused",
        "asked",
        "percent",
        "note",
    }
)

_SENTENCES: dict[str, Callable[[Evidence], str]] = {
    "shared_address": lambda found: f"This node's address is shared by {found['nodes']} nodes.",
    "shared_subnet": lambda found: (
        f"{found['nodes']} nodes are online in this node's network, {found['subnet']}."
    ),
    "shared_asn": lambda found: (
        f"{found['nodes']} nodes, a large part of all, are online at this node's provider, AS{found['asn']}."
    ),
    "two_places": lambda found: (
        f"This node answered from two addresses at the same time, for {found['seconds']} seconds: "
        "its key is used by two machines."
    ),
    "impossible_travel": lambda found: (
        f"This node turned up {found['km']} km away within {found['minutes']} minutes."
    ),
    "identical_timing": lambda found: (
        f"This node began and ended its sessions in the same second as others, {found['times']} times: "
        + (
            f"{found['nodes']} nodes of its owner."
            if found["of"] == "owner"
            else f"{found['nodes']} nodes in its network."
        )
    ),
    "failing_challenges": lambda found: (
        f"{found['refused']} of {found['asked']} answers to challenges were refused: "
        "they were late, repeated or wrongly signed."
    ),
    STAFF: lambda found: f"The operators suspended this node: {found['note']}",
}

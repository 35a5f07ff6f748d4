"""Who may call what: the names by which handlers and WebSocket methods declare it."""

from collections.abc import Collection
from typing import Final, Literal

from services.tokens import USER, Principal

Who = Literal["anyone", "user", "node", "enrol", "support", "operator"]

#: What each name means, in the order of the reference page.
MEANINGS: Final[dict[Who, str]] = {
    "anyone": "everybody, signed in or not",
    "user": "a signed-in person, whatever the role",
    "node": "a node with its access token",
    "enrol": "the holder of an enrolment token",
    "support": "a person of role support, or an operator",
    "operator": "a person of role operator",
}

# The names that a person answers to; whoever may do more may do what the ones below may.
_RANKS: Final[dict[str, frozenset[str]]] = {
    "user": frozenset({"user"}),
    "support": frozenset({"user", "support"}),
    "operator": frozenset({"user", "support", "operator"}),
}


def names_of(principal: Principal | None) -> frozenset[str]:
    """The names that a caller answers to, next to "anyone"; None is somebody without a token."""
    if principal is None:
        return frozenset()
    if principal.kind == USER:
        return _RANKS.get(principal.role, _RANKS["user"])
    return frozenset({principal.kind})


def admits(who: Collection[Who], principal: Principal | None) -> bool:
    """Whether a declaration lets the caller in."""
    return "anyone" in who or not names_of(principal).isdisjoint(who)

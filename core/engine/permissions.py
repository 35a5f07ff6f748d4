"""Who may do what over a WebSocket: declared here for every method and channel.

A connection knows whether a person or a node is behind it, not which role the person has: what is for
the staff alone is asked over HTTP.
"""

from collections.abc import Iterable
from typing import Final, Literal

from core.errors import Forbidden

Who = Literal["user", "node"]

METHODS: Final[dict[str, tuple[Who, ...]]] = {
    "me.overview": ("user",),
    "network.summary": ("user",),
}
CHANNELS: Final[dict[str, tuple[Who, ...]]] = {
    "me": ("user",),
    "network": ("user", "node"),
    "epoch": ("user", "node"),
}


def check(who: tuple[Who, ...], *, is_node: bool) -> None:
    """See to it that a declaration admits who is behind a connection.

    Raises:
        Forbidden: "forbidden".
    """
    if ("node" if is_node else "user") not in who:
        raise Forbidden("forbidden", f"This is for {' and '.join(f'{each}s' for each in who)} only.")


def check_declared(methods: Iterable[str], channels: Iterable[str]) -> None:
    """See to it that everything there is is declared, and nothing else.

    Raises:
        LookupError: naming what is not.
    """
    odd = (set(methods) ^ METHODS.keys()) | (set(channels) ^ CHANNELS.keys())
    if odd:
        raise LookupError(f"core.engine.permissions does not declare, or declares in vain: {sorted(odd)}")

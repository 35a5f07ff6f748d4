"""Sums of what was measured, apart from any store."""

from __future__ import annotations

from msgspec import Struct, field

from storage.rtt import BUCKETS
from storage.uptime import HourSums, NetworkHour

_COUNTS = ("seconds", "bytes_up", "bytes_down", "answered", "missed", "refused")


class Totals(Struct):
    """What was counted in some hours.

    `nodes` is the most in one hour and `node_hours` their sum over the hours; both, unlike `errors`, are
    known of the network only.
    """

    nodes: int = 0
    node_hours: int = 0
    seconds: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    errors: int = 0
    answered: int = 0
    missed: int = 0
    refused: int = 0
    rtt: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add_node(self, sums: HourSums) -> None:
        """Add an hour of a node."""
        self._add(sums)
        self.errors += sums.errors

    def add_country(self, sums: NetworkHour) -> None:
        """Add a further country in the same hour."""
        self._add(sums)
        self.nodes += sums.nodes
        self.node_hours += sums.nodes

    def add(self, totals: Totals) -> None:
        """Add what was counted in other hours."""
        self._add(totals)
        self.errors += totals.errors
        self.nodes = max(self.nodes, totals.nodes)
        self.node_hours += totals.node_hours

    def _add(self, sums: HourSums | NetworkHour | Totals) -> None:
        for count in _COUNTS:
            setattr(self, count, getattr(self, count) + getattr(sums, count))
        self.rtt = [ours + theirs for ours, theirs in zip(self.rtt, sums.rtt, strict=True)]

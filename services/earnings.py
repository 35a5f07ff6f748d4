"""What people have earned: the one place where the figure is made."""

from collections.abc import Sequence
from uuid import UUID

from core.messages import NODES_SHOWN, NodeView, Overview
from storage.base import NodeTotals, UptimeStore, UserTotals

SECONDS_PER_HOUR = 3600
# A degraded node is connected too.
CONNECTED = frozenset({"online", "degraded"})


class Earnings:
    """Turns confirmed uptime into what is accruing.

    Every screen and message takes the figure from here: a node accrues
    ``floor(confirmed_seconds * micropoints_per_hour / 3600)`` micro-points, a person the sum of
    that over all their nodes, listed or not.
    """

    def __init__(self, uptime: UptimeStore, micropoints_per_hour: int) -> None:
        self._uptime = uptime
        self._rate = micropoints_per_hour

    async def overview(self, user_id: UUID) -> Overview:
        """The whole live state of one person."""
        return (await self.overviews([user_id]))[user_id]

    async def overviews(self, user_ids: Sequence[UUID]) -> dict[UUID, Overview]:
        """The live state of several people, all from one moment."""
        totals = await self._uptime.totals(user_ids)
        return {user_id: self._overview(totals[user_id]) for user_id in user_ids}

    def _overview(self, totals: UserTotals) -> Overview:
        # The totals add up the nodes' rounded figures, so that the rows on a screen sum to them.
        # A retired node is shown no more; what it was confirmed for stays.
        shown = [node for node in totals.nodes if not node.retired]
        return Overview(
            revision=totals.revision,
            nodes_total=len(shown),
            nodes_online=sum(node.status in CONNECTED for node in shown),
            confirmed_seconds=sum(node.confirmed_seconds for node in totals.nodes),
            accruing=str(sum(self._amount(node) for node in totals.nodes)),
            nodes=[self._view(node) for node in shown[:NODES_SHOWN]],
        )

    def _amount(self, node: NodeTotals) -> int:
        return node.confirmed_seconds * self._rate // SECONDS_PER_HOUR

    def _view(self, node: NodeTotals) -> NodeView:
        return NodeView(
            node_id=node.node_id,
            name=node.name,
            state=node.status,
            since=node.since,
            confirmed_seconds=node.confirmed_seconds,
            accruing=str(self._amount(node)),
            flapping=node.flapping,
            country=node.country,
            rtt_ms=to_milliseconds(node.rtt_us),
            jitter_ms=to_milliseconds(node.jitter_us),
        )


def to_milliseconds(us: int | None) -> float | None:
    """Milliseconds, rounded to a tenth; what was not measured stays so."""
    return None if us is None else round(us / 1000, 1)

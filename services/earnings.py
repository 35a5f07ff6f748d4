"""What people have earned: the one place where the figure is made."""

from collections.abc import Sequence
from uuid import UUID

from core.messages import NODES_SHOWN, NodeView, Overview
from storage.base import NodeTotals, UptimeStore, UserTotals

MS_PER_HOUR = 3_600_000


class Earnings:
    """Turns confirmed uptime into what is accruing.

    Every screen and message takes the figure from here: a node accrues
    ``floor(confirmed_ms * micropoints_per_hour / 3 600 000)`` micro-points, a person the sum of
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
        return Overview(
            revision=totals.revision,
            nodes_total=len(totals.nodes),
            nodes_online=sum(node.online for node in totals.nodes),
            confirmed_seconds=sum(node.confirmed_ms // 1000 for node in totals.nodes),
            accruing=str(sum(self._amount(node) for node in totals.nodes)),
            nodes=[self._view(node) for node in totals.nodes[:NODES_SHOWN]],
        )

    def _amount(self, node: NodeTotals) -> int:
        return node.confirmed_ms * self._rate // MS_PER_HOUR

    def _view(self, node: NodeTotals) -> NodeView:
        return NodeView(
            node_id=node.node_id,
            name=node.name,
            state="online" if node.online else "offline",
            since=node.since,
            confirmed_seconds=node.confirmed_ms // 1000,
            accruing=str(self._amount(node)),
        )

"""The nodes of a person: looked at, renamed and retired."""

from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from core.clock import Clock, to_ms
from core.errors import NotFound
from services.audit import Audit, Kind
from services.names import clean_name
from services.revocations import Revoked
from services.tokens import Principal
from storage.base import Node, NodeLive, NodeStore, Status


class KnownNode(Struct, frozen=True):
    """A node and how it does now."""

    node: Node
    live: NodeLive


class Nodes:
    """The nodes of each person; to everybody else they do not exist, except that the staff may look."""

    def __init__(
        self, *, nodes: NodeStore, audit: Audit, clock: Clock, ended: Callable[[Revoked], object]
    ) -> None:
        """`ended` is told whose tokens are void, so that sockets close at once."""
        self._nodes = nodes
        self._audit = audit
        self._clock = clock
        self._ended = ended

    async def listed(
        self, user_id: UUID, after: UUID | None, limit: int, status: Status | None = None
    ) -> list[KnownNode]:
        """At most `limit` nodes of a person by id, those behind `after`; with `status` only those in it."""
        found = await self._nodes.of_user(user_id, after, limit, status)
        live = await self._nodes.live([node.node_id for node in found])
        # One that was erased between the two reads is gone.
        return [KnownNode(node, live[node.node_id]) for node in found if node.node_id in live]

    async def get(self, user_id: UUID, node_id: UUID) -> KnownNode:
        """A node of a person.

        Raises:
            NotFound: "node_not_found", also for somebody else's and for a retired one.
        """
        return await self._with_live(await self._own(user_id, node_id))

    async def view(self, actor: Principal, node_id: UUID) -> KnownNode:
        """Anybody's node, as the staff sees it; that `actor` looked is written down.

        Raises:
            NotFound: "node_not_found".
        """
        node = await self._nodes.by_id(node_id)
        if node is None:
            raise _unknown()
        found = await self._with_live(node)
        await self._audit.note(
            Kind.ADMIN_NODE_VIEWED, user_id=node.user_id, actor_id=actor.user_id, node=str(node_id)
        )
        return found

    async def rename(self, node: Node, name: str) -> Node:
        """Give `node` another name; returns it as it is then.

        Raises:
            InvalidInput: "invalid_input", field "name".
            NotFound: "node_not_found": it was retired meanwhile.
        """
        renamed = await self._nodes.rename(node.user_id, node.node_id, clean_name(name, "name"))
        if renamed is None:
            raise _unknown()
        return renamed

    async def retire(self, user_id: UUID, node_id: UUID) -> None:
        """End a node of a person for good.

        Its key can be enrolled again, which a suspension survives; its connection closes, its tokens are
        void; what it was confirmed for stays its owner's.

        Raises:
            NotFound: "node_not_found".
        """
        now = self._clock.now()
        if not await self._nodes.retire(user_id, node_id, now):
            raise _unknown()
        self._ended(Revoked(user_id=user_id, at_ms=to_ms(now), node_ids=(node_id,)))
        await self._audit.note(Kind.NODE_RETIRED, user_id=user_id, node=str(node_id))

    async def _own(self, user_id: UUID, node_id: UUID) -> Node:
        node = await self._nodes.by_id(node_id)
        if node is None or node.user_id != user_id:
            raise _unknown()
        return node

    async def _with_live(self, node: Node) -> KnownNode:
        live = (await self._nodes.live([node.node_id])).get(node.node_id)
        if live is None:
            raise _unknown()
        return KnownNode(node, live)


def _unknown() -> NotFound:
    return NotFound("node_not_found", "You have no node with this id.")

"""Moves of nodes, and connections that went on after one."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from storage.memory.database import KeptMove, MemoryDatabase
from storage.moves import Move


def keep_moves(
    database: MemoryDatabase, moves: Sequence[Move], overlaps: Mapping[tuple[UUID, UUID], int]
) -> None:
    """Remember `moves`; and that connections which were left were confirmed up to these seconds.

    `overlaps` is by node and connection, in seconds since the epoch; those that nothing followed from
    another address are ignored.
    """
    for move in moves:
        database.moves.setdefault((move.node_id, move.from_connection), KeptMove(move))
    for key, end in overlaps.items():
        kept = database.moves.get(key)
        if kept is not None and end * 1000 > kept.move.at_ms:
            kept.overlap_to = max(kept.overlap_to or 0, end)

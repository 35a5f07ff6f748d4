"""Moves of nodes, and connections that went on after one."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import astuple

from storage.moves import Move
from storage.postgres.queries import load

_SQL = load("moves")


async def save_moves(
    connection: Any, moves: Sequence[Move], overlaps: Mapping[tuple[UUID, UUID], int]
) -> None:
    """Remember `moves`; and that connections which were left were confirmed up to these seconds.

    `overlaps` is by node and connection, in seconds since the epoch; those that nothing followed from
    another address are ignored. In the connection's transaction.
    """
    if moves:
        rows = [astuple(move) for move in moves]
        await connection.execute(_SQL["save_moves"], *(list(column) for column in zip(*rows, strict=True)))
    if overlaps:
        nodes, connections = zip(*overlaps, strict=True)
        await connection.execute(_SQL["save_overlaps"], nodes, connections, list(overlaps.values()))

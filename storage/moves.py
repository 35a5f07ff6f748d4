"""Nodes that turn up somewhere else: the distance, and what is remembered of it."""

from math import asin, cos, radians, sin, sqrt
from uuid import UUID

from msgspec import Struct

from storage.base import Opened, Place
from storage.uptime import NodeState

# The mean radius (IUGG).
EARTH_KM = 6371.0088


class Move(Struct, frozen=True, kw_only=True):
    """A connection of a node was followed by one from another public address.

    `left_ms` is when the node was last known at the former one, `at_ms` when the new connection opened
    (milliseconds since the epoch); `km` is how far apart the two are, None if it is not known.
    """

    user_id: UUID
    node_id: UUID
    from_connection: UUID
    to_connection: UUID
    left_ms: int
    at_ms: int
    from_address: str
    to_address: str
    from_subnet: str
    to_subnet: str
    from_country: str | None = None
    to_country: str | None = None
    km: int | None = None


class Stay(Struct, frozen=True):
    """A connection of a node, and a time at which the node was there."""

    connection_id: UUID
    address: str
    place: Place
    at_ms: int


def move_of(state: NodeState, opened: Opened, place: Place) -> Move | None:
    """The move that `opened` at `place` is, given the state before it; None if it is none.

    If others followed it before it was heard of, it is the move from there to the newest of them. What is no
    public address is nowhere: neither left nor arrived at.
    """
    if state.connection_id is None:
        return None
    this = Stay(opened.connection_id, opened.address, place, opened.at_ms)
    if (opened.at_ms, opened.connection_id.int) < (state.opened_ms, state.connection_id.int):
        newest = Stay(state.connection_id, state.address, state.place, state.opened_ms)
        return _move(state, this, newest)
    # Reports may still be on their way: then it was there for longer, and travelled faster, than is known.
    left_ms = min(max(state.opened_ms, state.confirmed_to * 1000), opened.at_ms)
    return _move(state, Stay(state.connection_id, state.address, state.place, left_ms), this)


def _move(state: NodeState, left: Stay, arrived: Stay) -> Move | None:
    if left.address == arrived.address or not left.place.subnet or not arrived.place.subnet:
        return None
    return Move(
        user_id=state.user_id,
        node_id=state.node_id,
        from_connection=left.connection_id,
        to_connection=arrived.connection_id,
        left_ms=left.at_ms,
        at_ms=arrived.at_ms,
        from_address=left.address,
        to_address=arrived.address,
        from_subnet=left.place.subnet,
        to_subnet=arrived.place.subnet,
        from_country=left.place.country,
        to_country=arrived.place.country,
        km=distance(left.place, arrived.place),
    )


def distance(one: Place, other: Place) -> int | None:
    """Whole kilometres between two places along the surface; None unless both have coordinates."""
    if one.latitude is None or one.longitude is None or other.latitude is None or other.longitude is None:
        return None
    return round(great_circle(one.latitude, one.longitude, other.latitude, other.longitude))


def great_circle(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Kilometres between two points given in degrees, on a sphere, by the haversine formula."""
    north = sin(radians(to_latitude - latitude) / 2) ** 2
    east = sin(radians(to_longitude - longitude) / 2) ** 2
    # Rounding may take opposite points a little beyond 1.
    part = min(1.0, north + cos(radians(latitude)) * cos(radians(to_latitude)) * east)
    return 2 * EARTH_KM * asin(sqrt(part))


def too_fast(km: int, elapsed_ms: int, km_h: int) -> bool:
    """Whether `km` kilometres in `elapsed_ms` milliseconds are more than `km_h` kilometres an hour."""
    return km * 3_600_000 > km_h * elapsed_ms

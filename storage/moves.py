"""Nodes that turn up somewhere else: the distance, and what is remembered of it."""

from math import asin, cos, radians, sin, sqrt
from uuid import UUID

from msgspec import Struct

from storage.base import Opened, Place
from storage.uptime import NodeState

# The mean radius (IUGG).
EARTH_KM = 6371.0088


class Move(Struct, frozen=True, kw_only=True):
    """The newest connection of a node was followed by one from another public address.

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


def move_of(state: NodeState, opened: Opened, place: Place) -> Move | None:
    """The move that `opened` at `place` is, given the state before it; None if it is none.

    What is no public address is nowhere: neither left nor arrived at.
    """
    before = state.place
    if state.connection_id is None or opened.address == state.address:
        return None
    if not before.subnet or not place.subnet:
        return None
    # Reports may still be on their way: then it was there for longer, and travelled faster, than is known.
    left_ms = min(max(state.opened_ms, state.confirmed_to * 1000), opened.at_ms)
    return Move(
        user_id=state.user_id,
        node_id=state.node_id,
        from_connection=state.connection_id,
        to_connection=opened.connection_id,
        left_ms=left_ms,
        at_ms=opened.at_ms,
        from_address=state.address,
        to_address=opened.address,
        from_subnet=before.subnet,
        to_subnet=place.subnet,
        from_country=before.country,
        to_country=place.country,
        km=distance(before, place),
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

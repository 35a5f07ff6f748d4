"""What each rule of abuse looks for, in memory."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from core.clock import to_ms
from storage.memory.database import MemoryDatabase
from storage.moves import too_fast
from storage.uptime import NodeState, is_ours

_HOUR_MS = 3_600_000
Parameters = Mapping[str, int]


class Finding(Struct, frozen=True):
    """A cause that a rule found for a node."""

    user_id: UUID
    node_id: UUID
    subject: str
    weight: int
    evidence: dict[str, Any]


Signal = Callable[[MemoryDatabase, Parameters, datetime], Iterator[Finding]]


def shared_address(db: MemoryDatabase, parameters: Parameters, _at: datetime) -> Iterator[Finding]:
    """Several nodes online at one address."""
    for address, states in _together(db, lambda state: state.address):
        if len(states) >= parameters["nodes"]:
            yield from _shared(states, address, {"nodes": len(states), "address": address})


def shared_subnet(db: MemoryDatabase, parameters: Parameters, _at: datetime) -> Iterator[Finding]:
    """Many nodes online in one /24 or /64."""
    for subnet, states in _together(db, lambda state: state.place.subnet):
        if len(states) >= parameters["nodes_64" if ":" in subnet else "nodes_24"]:
            yield from _shared(states, subnet, {"nodes": len(states), "subnet": subnet})


def shared_asn(db: MemoryDatabase, parameters: Parameters, _at: datetime) -> Iterator[Finding]:
    """A large part of the network in one autonomous system."""
    groups = list(_together(db, lambda state: state.place.asn))
    everywhere = sum(len(states) for _, states in groups)
    for asn, states in groups:
        enough = len(states) * 100 >= everywhere * parameters["percent"]
        if asn is not None and enough and len(states) >= parameters["nodes"]:
            yield from _shared(states, f"AS{asn}", {"nodes": len(states), "asn": asn})


def two_places(db: MemoryDatabase, parameters: Parameters, at: datetime) -> Iterator[Finding]:
    """One key that answers from two addresses."""
    since = to_ms(at) // 1000 - parameters["hours"] * 3600
    found: dict[tuple[UUID, UUID, str, str], list[int]] = defaultdict(list)
    for kept in db.moves.values():
        move = kept.move
        if kept.overlap_to is None or kept.overlap_to <= since:
            continue
        seconds = kept.overlap_to - move.at_ms // 1000
        if seconds > parameters["grace"]:
            one, other = sorted((move.from_address, move.to_address))
            found[move.user_id, move.node_id, one, other].append(seconds)
    for (user_id, node_id, one, other), seconds_each in found.items():
        times = len(seconds_each)
        evidence = {"times": times, "seconds": max(seconds_each), "addresses": [one, other]}
        yield Finding(user_id, node_id, f"{one} {other}", times, evidence)


def impossible_travel(db: MemoryDatabase, parameters: Parameters, at: datetime) -> Iterator[Finding]:
    """Journeys that nobody makes as fast."""
    since = to_ms(at) - parameters["hours"] * _HOUR_MS
    found: dict[tuple[UUID, UUID, str], list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for kept in db.moves.values():
        move = kept.move
        elapsed = move.at_ms - move.left_ms
        if move.at_ms <= since or move.km is None or move.km < parameters["km"]:
            continue
        if too_fast(move.km, elapsed, parameters["km_h"]):
            one, other = sorted((move.from_subnet, move.to_subnet))
            evidence = {
                "km": move.km,
                "minutes": elapsed // 60_000,
                "km_h": move.km * _HOUR_MS // max(elapsed, 1000),
                "from": move.from_country,
                "to": move.to_country,
            }
            found[move.user_id, move.node_id, f"{one} {other}"].append((move.at_ms, evidence))
    for (user_id, node_id, subject), journeys in found.items():
        newest = max(journeys, key=lambda journey: journey[0])[1]
        yield Finding(user_id, node_id, subject, len(journeys), {**newest, "times": len(journeys)})


def identical_timing(db: MemoryDatabase, parameters: Parameters, at: datetime) -> Iterator[Finding]:
    """Nodes that come and go together. Ends of our doing tell nothing: they end many at once."""
    now = to_ms(at)
    since = now - parameters["hours"] * _HOUR_MS
    groups: dict[tuple[str, str, int, int], set[UUID]] = defaultdict(set)
    for session in db.node_sessions.values():
        state = db.states.get(session.node_id)
        if state is None or not state.place.subnet or session.closed_at is None or is_ours(session.code):
            continue
        closed = to_ms(session.closed_at)
        if not since < closed <= now:
            continue
        when = to_ms(session.opened_at) // 1000, closed // 1000
        groups["owner", str(state.user_id), *when].add(session.node_id)
        groups["subnet", state.place.subnet, *when].add(session.node_id)
    most: Counter[tuple[UUID, str, str]] = Counter()
    times: Counter[tuple[UUID, str, str]] = Counter()
    for (what, whose, _, _), nodes in groups.items():
        if len(nodes) >= parameters["nodes"]:
            for node_id in nodes:
                times[node_id, what, whose] += 1
                most[node_id, what, whose] = max(most[node_id, what, whose], len(nodes))
    for key, count in times.items():
        node_id, what, whose = key
        if count >= parameters["times"]:
            subject = what if what == "owner" else f"{what} {whose}"
            evidence = {"nodes": most[key], "times": count, "of": what}
            yield Finding(db.states[node_id].user_id, node_id, subject, most[key], evidence)


def failing_challenges(db: MemoryDatabase, parameters: Parameters, at: datetime) -> Iterator[Finding]:
    """Answers that were refused."""
    hour = to_ms(at) // _HOUR_MS
    refused: Counter[UUID] = Counter()
    asked: Counter[UUID] = Counter()
    for (node_id, of_hour), sums in db.hours.items():
        if hour - parameters["hours"] < of_hour <= hour:
            refused[node_id] += sums.refused
            asked[node_id] += sums.answered + sums.missed + sums.refused
    for node_id, count in refused.items():
        state = db.states.get(node_id)
        if state is None or count < max(parameters["refused"], 1):
            continue
        percent = count * 100 // asked[node_id]
        if count * 100 >= asked[node_id] * parameters["percent"]:
            evidence = {"refused": count, "asked": asked[node_id], "percent": percent}
            yield Finding(state.user_id, node_id, "", count, evidence)


SIGNALS: dict[str, Signal] = {
    "shared_address": shared_address,
    "shared_subnet": shared_subnet,
    "shared_asn": shared_asn,
    "two_places": two_places,
    "impossible_travel": impossible_travel,
    "identical_timing": identical_timing,
    "failing_challenges": failing_challenges,
}


def _together(db: MemoryDatabase, key: Callable[[NodeState], Any]) -> Iterator[tuple[Any, list[NodeState]]]:
    """The nodes online at public addresses, by what they have in common."""
    groups: dict[Any, list[NodeState]] = defaultdict(list)
    for state in db.states.values():
        if state.online and not state.suspended and state.place.subnet:
            groups[key(state)].append(state)
    yield from groups.items()


def _shared(states: list[NodeState], subject: str, evidence: dict[str, Any]) -> Iterator[Finding]:
    for state in states:
        yield Finding(state.user_id, state.node_id, subject, evidence["nodes"], dict(evidence))

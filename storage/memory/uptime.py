"""Who is online, and in which seconds each node was confirmed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from core.clock import from_ms, to_ms
from storage.base import Applied, Batch, CountryNow, NetworkTotals, NodeTotals, Place, Report, UserTotals
from storage.fold import Fold, SessionChange, hours_asked
from storage.memory.database import MemoryDatabase, Writer
from storage.memory.moves import keep_moves
from storage.rtt import BUCKETS
from storage.stretches import Merge, Stretch, sessions_asked
from storage.uptime import (
    COUNT_LIMIT,
    HOUR_S,
    HourSums,
    NetworkHour,
    NodeSession,
    NodeState,
    Rules,
    Span,
    contains,
    is_sane,
    limited,
    missing,
    since_epoch,
    split_hours,
    united,
)

_REMEMBERED = timedelta(days=1)


class MemoryUptime:
    """`UptimeStore` in memory."""

    def __init__(self, database: MemoryDatabase, rules: Rules | None = None) -> None:
        self._db = database
        self._rules = rules or Rules()

    async def apply(self, batches: Sequence[Batch], places: Mapping[str, Place]) -> Applied:
        fresh, grown = self._claim(batches)
        states = {
            node_id: state
            for batch in fresh
            for node_id in {record.node_id for record in batch.records}
            if (state := self._db.states.get(node_id)) is not None and not state.suspended
        }
        fold = self._fold(states, fresh, places)
        for batch in fresh:
            fold.add(batch)
        self._keep(fold)
        unknown = 0
        for batch in fresh:
            for record in batch.records:
                if record.node_id not in states:
                    unknown += 1
                elif type(record) is Report:
                    if not is_sane(record):
                        unknown += 1
                    elif record.hour >= self._db.from_hour:
                        self._count(states[record.node_id], record)
        if any(batch.records for batch in fresh):
            self._db.revision += 1
        return Applied(
            touched=fold.owners(),
            changed=fold.changed,
            duplicates=len(batches) - len(fresh),
            missing=grown,
            unknown=unknown,
        )

    async def watermarks(self, workers: Sequence[str]) -> dict[str, datetime]:
        writers = {worker: self._db.writers[worker] for worker in workers if worker in self._db.writers}
        return {worker: from_ms(writer.until_ms) for worker, writer in writers.items() if writer.until_ms > 0}

    async def close_workers(self, alive: Sequence[str], at: datetime) -> set[UUID]:
        at_ms = to_ms(at)
        fold = self._fold(self._db.states)
        for state in self._db.states.values():
            if state.online and state.worker not in alive:
                fold.presume(state, at_ms)
            fold.presume_left(state, alive, at_ms)
            state.unsettled = [each for each in state.unsettled if not each.is_stale(at_ms)]
        self._keep(fold)
        for worker, writer in list(self._db.writers.items()):
            if worker not in alive and writer.last_at < at - _REMEMBERED:
                del self._db.writers[worker]
        owners = fold.owners()
        if owners:
            self._db.revision += 1
        return owners

    async def calm(self, at: datetime) -> set[UUID]:
        fold = self._fold(self._db.states)
        for state in self._db.states.values():
            if state.flapping:
                fold.calm(state, to_ms(at))
        if fold.touched:
            self._db.revision += 1
        return fold.owners()

    async def suspend(self, node_id: UUID, suspended: bool, at: datetime) -> UUID | None:
        state = self._db.states.get(node_id)
        if state is None or state.suspended == suspended:
            return None
        fold = self._fold(self._db.states)
        fold.suspend(state, suspended, to_ms(at))
        self._keep(fold)
        self._db.revision += 1
        return state.user_id

    async def totals(self, user_ids: Sequence[UUID]) -> dict[UUID, UserTotals]:
        totals = {user_id: UserTotals(revision=self._db.revision, nodes=[]) for user_id in user_ids}
        nodes = {**self._db.nodes, **self._db.retired}
        states = {**self._db.states, **self._db.former}
        for node_id, node in sorted(nodes.items()):
            state = states[node_id]
            if node.user_id in totals:
                totals[node.user_id].nodes.append(
                    NodeTotals(
                        node_id=node_id,
                        name=node.name,
                        status=state.status,
                        since=None if state.since_ms is None else from_ms(state.since_ms),
                        confirmed_seconds=state.confirmed_s,
                        flapping=state.flapping,
                        country=state.place.country,
                        rtt_us=state.rtt_us or None,
                        jitter_us=state.jitter_us or None,
                        retired=node_id in self._db.retired,
                    )
                )
        return totals

    async def hours(self, user_id: UUID, node_id: UUID) -> list[tuple[datetime, int]]:
        state = self._db.states.get(node_id) or self._db.former.get(node_id)
        if state is None or state.user_id != user_id:
            return []
        return [
            (from_ms(hour * HOUR_S * 1000), sums.seconds)
            for (owner, hour), sums in sorted(self._db.hours.items(), key=lambda item: item[0][1])
            if owner == node_id and sums.confirmed
        ]

    async def network(self) -> NetworkTotals:
        online: dict[str | None, int] = {}
        for state in self._db.states.values():
            if state.online:
                online[state.place.country] = online.get(state.place.country, 0) + 1
        countries = sorted(online.items(), key=lambda item: (item[0] is None, item[0]))
        states = [*self._db.states.values(), *self._db.former.values()]
        return NetworkTotals(
            revision=self._db.revision,
            nodes_online=sum(online.values()),
            nodes_total=len(self._db.nodes),
            users_total=len(self._db.users),
            confirmed_seconds=sum(state.confirmed_s for state in states),
            countries=[CountryNow(country=country, nodes_online=nodes) for country, nodes in countries],
        )

    def _fold(
        self,
        states: Mapping[UUID, NodeState],
        batches: Sequence[Batch] = (),
        places: Mapping[str, Place] | None = None,
    ) -> Fold:
        confirmed: dict[UUID, list[Span]] = {}
        for node_id, hour in hours_asked(states.values(), batches, self._rules):
            if sums := self._db.hours.get((node_id, hour)):
                confirmed.setdefault(node_id, []).extend(since_epoch(hour, sums.confirmed))
        sessions = {
            node_id: [
                Stretch(
                    session_id=session.session_id,
                    opened_ms=to_ms(session.opened_at),
                    last_ms=to_ms(session.closed_at or session.opened_at),
                )
                for session in self._db.node_sessions.values()
                if session.node_id == node_id
            ]
            for node_id in sessions_asked(states.values(), batches)
        }
        return Fold(states, self._rules, places, confirmed, sessions)

    def _claim(self, batches: Sequence[Batch]) -> tuple[list[Batch], int]:
        """Those batches that were not applied before, and by how many the missing ones grew."""
        fresh, grown = [], 0
        for batch in batches:
            writer = self._db.writers.setdefault(batch.worker, Writer([], self._db.clock.now()))
            if contains(writer.applied, batch.sequence):
                continue
            if not writer.applied or batch.sequence >= writer.applied[-1][1]:
                writer.until_ms = batch.until_ms
            before = missing(writer.applied)
            writer.applied = united([*writer.applied, (batch.sequence, batch.sequence + 1)])
            writer.last_at = self._db.clock.now()
            grown += missing(writer.applied) - before
            fresh.append(batch)
        return fresh, grown

    def _count(self, state: NodeState, report: Report) -> None:
        sums, network = self._hour(state, report.hour)
        new = sums.confirm((report.start, report.end))
        sums.add(report)
        state.confirmed_s += new
        network.seconds += new
        for name in ("bytes_up", "bytes_down", "answered", "missed", "refused"):
            setattr(network, name, limited(getattr(network, name), getattr(report, name), COUNT_LIMIT))
        for bucket, count in enumerate(report.rtt[:BUCKETS]):
            network.rtt[bucket] += count
        if report.at_s >= state.seen_s:
            state.seen_s = report.at_s
            state.rtt_us = report.rtt_us or state.rtt_us
            state.jitter_us = report.jitter_us or state.jitter_us
        if state.belongs_to_session(report.connection_id):
            state.session_up = limited(state.session_up, report.bytes_up, COUNT_LIMIT)
            state.session_down = limited(state.session_down, report.bytes_down, COUNT_LIMIT)
        else:
            self._count_in_former_session(state, report)

    def _count_in_former_session(self, state: NodeState, report: Report) -> None:
        ids = [
            session_id
            for node_id, session_id in self._db.node_sessions
            if node_id == state.node_id and session_id <= report.connection_id
        ]
        if ids:
            session = self._db.node_sessions[state.node_id, max(ids)]
            session.bytes_up = limited(session.bytes_up, report.bytes_up, COUNT_LIMIT)
            session.bytes_down = limited(session.bytes_down, report.bytes_down, COUNT_LIMIT)

    def _hour(self, state: NodeState, hour: int) -> tuple[HourSums, NetworkHour]:
        country = state.place.country or ""
        network = self._db.network_hours.setdefault((hour, country), NetworkHour())
        if (state.node_id, hour) not in self._db.hours:
            network.nodes += 1
        return self._db.hours.setdefault((state.node_id, hour), HourSums()), network

    def _keep(self, fold: Fold) -> None:
        for node_id, span in fold.credits:
            self._credit(fold.states[node_id], span)
        for (node_id, session_id), change in fold.sessions.items():
            self._change_session(fold.states[node_id], session_id, change)
        for merge in fold.merges:
            self._merge_sessions(merge)
        keep_moves(self._db, fold.moves, fold.overlaps)

    def _merge_sessions(self, merge: Merge) -> None:
        part = self._db.node_sessions.pop((merge.node_id, merge.session_id))
        session = self._db.node_sessions[merge.node_id, merge.into]
        session.connections += part.connections
        session.bytes_up = limited(session.bytes_up, part.bytes_up, COUNT_LIMIT)
        session.bytes_down = limited(session.bytes_down, part.bytes_down, COUNT_LIMIT)
        if merge.newest:
            session.closed_at, session.code = part.closed_at, part.code
            session.worker, session.address = part.worker, part.address
            session.country, session.asn = part.country, part.asn
            session.agent_version = part.agent_version or session.agent_version

    def _credit(self, state: NodeState, span: Span) -> None:
        for hour, part in split_hours(*span):
            if hour < self._db.from_hour:
                continue
            sums, network = self._hour(state, hour)
            new = sums.confirm(part)
            state.confirmed_s += new
            network.seconds += new

    def _change_session(self, state: NodeState, session_id: UUID, change: SessionChange) -> None:
        key = state.node_id, session_id
        session = self._db.node_sessions.get(key)
        if session is None:
            if change.opened_ms is None:
                return
            session = self._db.node_sessions[key] = NodeSession(
                user_id=state.user_id,
                node_id=state.node_id,
                session_id=session_id,
                opened_at=from_ms(change.opened_ms),
                connections=0,
            )
        session.connections += change.connections
        session.bytes_up = limited(session.bytes_up, change.bytes_up, COUNT_LIMIT)
        session.bytes_down = limited(session.bytes_down, change.bytes_down, COUNT_LIMIT)
        if change.resumed:
            session.closed_at = session.code = None
        if change.closed_ms is not None:
            session.closed_at, session.code = from_ms(change.closed_ms), change.code
        if change.worker is not None and change.address is not None:
            session.worker, session.address = change.worker, change.address
            session.country, session.asn = change.place.country, change.place.asn
        if change.agent_version is not None:
            session.agent_version = change.agent_version

"""Reports on their way into the tables: staged by COPY, counted by a fixed number of statements."""

from collections.abc import AsyncIterator, Iterable, Sequence
from struct import Struct as Layout
from struct import pack
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from storage.base import Report
from storage.postgres.queries import load
from storage.uptime import COUNT_LIMIT, ERRORS_LIMIT, Span, is_sane, minutes_of, split_hours

_SQL = load("reports")

# The columns that are copied, in this order; see `_row`.
_COLUMNS = (
    "node_id",
    "connection_id",
    "hour",
    "seconds",
    "at_s",
    "minutes",
    "bytes_up",
    "bytes_down",
    "rtt_low",
    "rtt_high",
    "errors",
    "answered",
    "missed",
    "refused",
    "rtt_us",
    "jitter_us",
    "confirmed",
)
# PostgreSQL's binary COPY: a signature, flags, no extension; rows; the end. A row is the number of its
# fields, then each with its length before it. A multirange is the number of its ranges, then each with
# its length: flags, then each bound with its length.
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TAIL = pack("!h", -1)
_FIELDS = "!h i16s i16s ii ii iq iq iq iq i8s i8s ii ii ii ii ii ii".replace(" ", "")
_NO_SPAN = Layout(_FIELDS + "ii").pack
_ONE_SPAN = Layout(_FIELDS + "iiiBiiii").pack
_LOWER_INCLUDED = 2
# As many as make the other tasks wait for some milliseconds.
_ROWS_AT_ONCE = 4000


class Counted(Struct):
    """What counting came to: `records` reports counted, of these `owners`, adding `seconds`; in `days`."""

    records: int = 0
    seconds: int = 0
    owners: set[UUID] = field(default_factory=set)
    days: set[int] = field(default_factory=set)


class StagedReports:
    """The reports of one transaction on `connection`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._rows = 0
        self._nodes: set[bytes] = set()
        self._hours: set[int] = set()
        self._credits = 0

    async def prepare(self) -> None:
        """Make the tables that reports are staged in, and plans that fit them."""
        await self._connection.execute(_SQL["stage"])
        await self._connection.execute(_SQL["plan"])

    async def copy(self, reports: Iterable[Report]) -> None:
        """Stage `reports`; what is not sane is left out."""
        await self._connection.copy_to_table(
            "staged_report",
            source=self._source(reports),
            columns=_COLUMNS,
            format="binary",
            schema_name="pg_temp",
        )

    async def clear(self) -> None:
        """Forget what is staged."""
        await self._connection.execute(_SQL["clear"])
        self._rows = 0
        self._nodes.clear()
        self._hours.clear()

    async def concerned(self) -> list[UUID]:
        """Nodes about whose connections these reports may say something."""
        rows = await self._connection.fetch(_SQL["concerned"])
        return [row["node_id"] for row in rows]

    async def credit(self, added: Sequence[tuple[UUID, Span]]) -> None:
        """Stage seconds since the epoch that count besides those reported."""
        rows = [
            (node_id, hour, *part, minutes_of([part]))
            for node_id, span in added
            for hour, part in split_hours(*span)
        ]
        self._credits += len(rows)
        self._hours.update(row[1] for row in rows)
        await self._connection.execute(_SQL["credit"], *(list(column) for column in zip(*rows, strict=True)))

    async def count(self) -> Counted:
        """Add all that is staged to the sums of nodes and network."""
        counted = Counted(days={hour // 24 for hour in self._hours})
        source = "staged_report"
        several = self._credits > 0 or len(self._nodes) < self._rows
        if several:
            await self._connection.execute(_SQL["gather"])
            source = "gathered_report"
        row = await self._connection.fetchrow(_COUNT[source])
        self._add(counted, row)
        counted.seconds += row["seconds"]
        if counted.records < self._rows and not several:
            # Whoever was there in the hour before needs no more than this.
            days = list({(hour - 1) // 24 for hour in self._hours})
            await self._connection.execute(_SQL["open_days"], days)
            row = await self._connection.fetchrow(_LEAP, days)
            self._add(counted, row)
            counted.seconds += row["seconds"]
        if counted.records < self._rows or self._credits:
            row = await self._connection.fetchrow(_TURN[source])
            if row["owners"]:
                self._add(counted, row)
                await self._connection.execute(_SQL["open_days"], row["days"])
                counted.seconds += await self._connection.fetchval(_ADVANCE)
                counted.seconds += await self._connection.fetchval(_CORRECT)
        return counted

    def _add(self, counted: Counted, row: Any) -> None:
        counted.records += row["records"]
        counted.owners.update(row["owners"] or ())

    async def _source(self, reports: Iterable[Report]) -> AsyncIterator[bytes]:
        hours, nodes = self._hours, self._nodes
        chunk = [_HEAD]
        for report in reports:
            if is_sane(report):
                hours.add(report.hour)
                node = report.node_id.bytes
                nodes.add(node)
                self._rows += 1
                chunk.append(_row(report, node))
                if len(chunk) > _ROWS_AT_ONCE:
                    yield b"".join(chunk)
                    chunk.clear()
        chunk.append(_TAIL)
        yield b"".join(chunk)


# fmt: off
def _row(report: Report, node: bytes) -> bytes:
    up, down = report.bytes_up, report.bytes_down
    errors, answered, missed, refused = report.errors, report.answered, report.missed, report.refused
    # A node's claims may be absurd.
    if (up | down) >> 62 or (errors | answered | missed | refused) >> 31:
        up, down = _within(up, COUNT_LIMIT), _within(down, COUNT_LIMIT)
        errors, answered = _within(errors, ERRORS_LIMIT), _within(answered, ERRORS_LIMIT)
        missed, refused = _within(missed, ERRORS_LIMIT), _within(refused, ERRORS_LIMIT)
    start, end, rtt = report.start, report.end, report.rtt
    if start == end:
        return _NO_SPAN(
            17, 16, node, 16, report.connection_id.bytes, 4, report.hour, 4, 0,
            8, report.at_s, 8, 0, 8, up, 8, down, 8, rtt[:8], 8, rtt[8:],
            4, errors, 4, answered, 4, missed, 4, refused, 4, report.rtt_us, 4, report.jitter_us,
            4, 0,
        )
    first = start // 60
    minutes = (2 << (end - 1) // 60 - first) - 1 << first
    return _ONE_SPAN(
        17, 16, node, 16, report.connection_id.bytes, 4, report.hour, 4, end - start,
        8, report.at_s, 8, minutes, 8, up, 8, down, 8, rtt[:8], 8, rtt[8:],
        4, errors, 4, answered, 4, missed, 4, refused, 4, report.rtt_us, 4, report.jitter_us,
        25, 1, 17, _LOWER_INCLUDED, 4, start, 4, end,
    )
# fmt: on


def _within(count: int, limit: int) -> int:
    return min(max(count, 0), limit)


def _filled(name: str, nodes: str, source: str = "") -> str:
    network = _SQL["network"].replace("{nodes}", nodes)
    return _SQL[name].replace("{network}", network).replace("{reports}", source)


_SOURCES = ("staged_report", "gathered_report")
_COUNT = {source: _filled("count", "0", source) for source in _SOURCES}
_LEAP = _filled("leap", "count(*)")
_TURN = {source: _filled("turn", "", source) for source in _SOURCES}
_ADVANCE = _filled("advance", "count(*)")
_CORRECT = _filled("correct", "count(*) FILTER (WHERE is_new)")

"""A run of a fleet, from its enrolment until everything that it did is stored."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from support.fleet.casts import Part, nodes_of
from support.fleet.cluster import Cluster
from support.fleet.line import now_ms
from support.fleet.node import FleetNode, Owner
from support.fleet.patience import waiting_for
from support.fleet.stage import Stage
from support.fleet.truth import HOUR, Answer, Seconds, Visit, seconds_of, visits_of
from support.fleet.watch import CONNECTED, Watch
from support.waiting import eventually

from core.clock import to_ms

OWNERS = 4
# Seconds until owners see how things are at the end, whatever faults there were before.
SETTLED = 30.0

Faults = Callable[[Stage], Coroutine[Any, Any, None]]


class Run:
    """What a fleet did, what its owners saw of it, and what is stored of it."""

    def __init__(self, name: str, seed: int, cluster: Cluster, parts: list[Part], network: str) -> None:
        """`network` is that of the nodes' addresses, as "5.10"."""
        self.name = name
        self.seed = seed
        self.cluster = cluster
        self.parts = parts
        rng = random.Random(f"{name} {seed}")
        self.nodes = nodes_of(parts, rng, network, cluster.config.network.challenge_timeout)
        self.window_ms = round(cluster.config.network.resume_window * 1000)
        self.owners: list[Owner] = []
        self.watches: list[Watch] = []
        #: When those that were left were asked to leave, and when all was stored, in milliseconds.
        self.over_ms = 0
        self.stored_ms = 0
        #: Their states right before they were asked to leave.
        self.last_states: dict[UUID, str] = {}

    # --- playing --------------------------------------------------------------------------------

    async def play(self, length: float, faults: Faults | None = None) -> None:
        """Let everybody play for `length` seconds, meanwhile `faults`; then wait until all is stored."""
        await self._enrol()
        self.watches = [await Watch.open(self.cluster.port("a"), owner) for owner in self.owners]
        try:
            await self._act(Stage(self.cluster, self.nodes, length), faults)
        except BaseException:
            await asyncio.gather(*(watch.close() for watch in self.watches), return_exceptions=True)
            raise
        await asyncio.gather(*(watch.close() for watch in self.watches))

    async def _act(self, stage: Stage, faults: Faults | None) -> None:
        async with asyncio.TaskGroup() as playing:
            for part, node in zip(self.parts, self.nodes, strict=True):
                playing.create_task(self._perform(part, node, stage))
            if faults is not None:
                playing.create_task(faults(stage))
        await self._settle()
        self.over_ms = now_ms()
        lines = [line for node in self.nodes for line in node.lines]
        await asyncio.gather(*(line.leave() for line in lines if line.is_open))
        await asyncio.gather(*(line.ended() for line in lines))
        await self.cluster.caught_up()
        self.stored_ms = now_ms()

    async def _perform(self, part: Part, node: FleetNode, stage: Stage) -> None:
        try:
            await part.script(node, stage)
        except Exception as error:
            error.add_note(self.about(node))
            raise

    async def _enrol(self) -> None:
        names = [f"{self.name}-{number}" for number in range(OWNERS)]
        self.owners = [await self.cluster.owner(name) for name in names]
        for number, node in enumerate(self.nodes):
            await node.enrol(self.owners[number % OWNERS])

    async def _settle(self) -> None:
        """Wait until the API says that those nodes are connected that are."""
        wrong: list[FleetNode] = []

        async def right() -> bool:
            overviews = [await owner.get("/me/overview") for owner in self.owners]
            nodes = [node for overview in overviews for node in overview["nodes"]]
            self.last_states = {UUID(node["node_id"]): str(node["state"]) for node in nodes}
            wrong[:] = [
                node
                for node in self.nodes
                if (self.last_states[node.node_id] in CONNECTED) != node.lines[-1].is_open
            ]
            return not wrong

        with suppress(TimeoutError):
            await eventually(right, timeout=SETTLED)
        states = [f"{self.last_states[node.node_id]} is {self.about(node)}" for node in wrong]
        assert not wrong, "\n".join(states)

    # --- what is true ---------------------------------------------------------------------------

    def playing(self, *roles: str) -> list[FleetNode]:
        """The nodes with these roles."""
        return [node for node in self.nodes if node.role in roles]

    def cheats(self) -> list[FleetNode]:
        """The nodes that must earn nothing by their cheating."""
        return [node for part, node in zip(self.parts, self.nodes, strict=True) if part.cheat]

    def held_down(self) -> list[tuple[FleetNode, str, int]]:
        """The nodes that a rule must find: its name, and the quarters of the score that it leaves."""
        return [
            (node, *part.gate)
            for part, node in zip(self.parts, self.nodes, strict=True)
            if part.gate is not None
        ]

    def seconds(self, node: FleetNode) -> Seconds:
        """What a node has earned."""
        return seconds_of(node.links, self.window_ms)

    def visits(self, node: FleetNode) -> list[Visit]:
        """The sessions of a node."""
        return visits_of(node.links, self.window_ms)

    def answers(self, node: FleetNode) -> int:
        """How many right answers of a node were heard."""
        marks = [mark for link in node.links for mark in link.marks]
        return sum(isinstance(mark, Answer) and mark.heard for mark in marks)

    def watch_of(self, node: FleetNode) -> Watch:
        """What the node's owner saw."""
        return self.watches[self.owners.index(node.owner)]

    def about(self, node: FleetNode) -> str:
        """A node and its story, for a failure's message."""
        links = "\n".join(f"    {link}" for link in node.links)
        return f"{node.role} {node.node_id} (seed {self.seed}, run {self.name!r}):\n{links}"

    # --- what is stored -------------------------------------------------------------------------

    async def stored(self) -> dict[UUID, frozenset[int]]:
        """The confirmed seconds of every node, one by one, as the database has them."""
        rows = await self.cluster.fetch(
            """
            SELECT s.node_id, h.hour, h.confirmed
            FROM node_state s JOIN node_hours h USING (number) WHERE s.node_id = ANY($1)
            """,
            self._ids(),
        )
        found: dict[UUID, set[int]] = {node_id: set() for node_id in self._ids()}
        for row in rows:
            for span in row["confirmed"]:
                begin = row["hour"] * HOUR
                found[row["node_id"]].update(range(begin + span.lower, begin + span.upper))
        return {node_id: frozenset(seconds) for node_id, seconds in found.items()}

    async def states(self) -> dict[UUID, dict[str, Any]]:
        """The rows of table node_state."""
        rows = await self.cluster.fetch("SELECT * FROM node_state WHERE node_id = ANY($1)", self._ids())
        return {row["node_id"]: row for row in rows}

    async def sums(self) -> dict[UUID, dict[str, int]]:
        """What all hours of each node add up to."""
        rows = await self.cluster.fetch(
            """
            SELECT s.node_id, sum(h.seconds)::bigint AS seconds, sum(h.bytes_up)::bigint AS bytes_up,
                   sum(h.bytes_down)::bigint AS bytes_down, sum(h.answered)::bigint AS answered,
                   sum(h.missed)::bigint AS missed, sum(h.refused)::bigint AS refused
            FROM node_state s JOIN node_hours h USING (number) WHERE s.node_id = ANY($1)
            GROUP BY s.node_id
            """,
            self._ids(),
        )
        return {row.pop("node_id"): row for row in rows}

    async def sessions(self) -> dict[UUID, list[dict[str, Any]]]:
        """The rows of table node_session by node, oldest first."""
        rows = await self.cluster.fetch(
            "SELECT * FROM node_session WHERE node_id = ANY($1) ORDER BY opened_at, session_id", self._ids()
        )
        found: dict[UUID, list[dict[str, Any]]] = {node_id: [] for node_id in self._ids()}
        for row in rows:
            found[row["node_id"]].append(row)
        return found

    async def scores(self) -> dict[UUID, dict[str, Any]]:
        """What the API tells of every node's score, as computed since the end."""
        found: dict[UUID, dict[str, Any]] = {}

        async def computed() -> bool:
            answer = await self.nodes[0].owner.get(f"/nodes/{self.nodes[0].node_id}/score")
            at = answer["computed_at"]
            return at is not None and to_ms(datetime.fromisoformat(at)) > self.stored_ms

        async with waiting_for("scores computed since the end"):
            await eventually(computed)
        for node in self.nodes:
            found[node.node_id] = await node.owner.get(f"/nodes/{node.node_id}/score")
        return found

    def _ids(self) -> list[UUID]:
        return [node.node_id for node in self.nodes]

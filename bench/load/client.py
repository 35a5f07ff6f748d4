"""Drives `load.c`."""

import math
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from bench.build import c_program
from bench.program import Answer, BenchError, Program
from core.messages import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL, Beat, Subscribe, json_encode, msgpack_encode

# Seconds beyond the expected that an answer may take.
PATIENCE = 60.0


class Dialect(Struct, frozen=True, kw_only=True):
    """How a connection is opened: what is offered, awaited (`greetings`), said and awaited (`answers`)."""

    path: str = "/ws"
    subprotocol: str | None = None
    binary: bool = False
    greetings: int = 0
    says: tuple[bytes, ...] = ()
    answers: int = 0
    beat: bytes | None = None


NETWORK = json_encode(Subscribe("network"))
ME = json_encode(Subscribe("me"))
BEAT = msgpack_encode(Beat(123_456, 654_321, 0, "1.0.0"))

# Welcomed by `welcome`; a subscription is answered by `subscribed` and `snapshot`.
AUTHENTICATED = Dialect(subprotocol=JSON_SUBPROTOCOL, greetings=1)
ON_NETWORK = Dialect(subprotocol=JSON_SUBPROTOCOL, greetings=1, says=(NETWORK,), answers=2)
ON_ME = Dialect(subprotocol=JSON_SUBPROTOCOL, greetings=1, says=(ME,), answers=2)
ON_BOTH = Dialect(subprotocol=JSON_SUBPROTOCOL, greetings=1, says=(ME, NETWORK), answers=4)
# A node gets `welcome` and a first `challenge`.
NODE = Dialect(subprotocol=MSGPACK_SUBPROTOCOL, binary=True, greetings=2, beat=BEAT)
# Other servers answer the handshake and nothing else.
PLAIN = Dialect(path="/")


class LoadClient:
    """One process with connections."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._program.pid

    async def open(self, connections: int, *, at_least: int | None = None, timeout: float = 600.0) -> Answer:
        """Have `connections` open.

        Raises:
            BenchError: fewer than `at_least` (all) came to be.
        """
        answer = await self._program.ask(f"open {connections}", "opened", timeout)
        if answer["open"] < (connections if at_least is None else at_least):
            raise BenchError(f"only {answer['open']} of {connections} connections came to be: {answer}")
        return answer

    async def churn(self, connections: int, timeout: float = 3600.0) -> Answer:
        """Open and leave `connections`, half of them without a word."""
        answer = await self._program.ask(f"churn {connections}", "churned", timeout)
        if answer["given_up"]:
            raise BenchError(f"{answer['given_up']} of {connections} connections failed: {answer}")
        return answer

    async def echo(self, seconds: float, size: int) -> Answer:
        """Send and await messages of `size` bytes on all connections."""
        command = f"echo {seconds * 1000:.0f} {size}"
        return _answered(await self._program.ask(command, "echoed", seconds + PATIENCE))

    async def beat(self, seconds: float, rate: float = 0) -> Answer:
        """Send beats, `rate` a second together, or each as soon as the one before was handled."""
        command = f"beat {seconds * 1000:.0f} {rate}"
        return _answered(await self._program.ask(command, "beaten", seconds + PATIENCE))

    async def mark(self) -> None:
        """Count messages from here."""
        await self._program.ask("mark", "marked")

    def watch(self, messages: int) -> None:
        """Tell by `reached` when that many came since the mark."""
        self._program.tell(f"watch {messages}")

    async def reached(self, timeout: float = PATIENCE) -> Answer:
        """The answer to `watch`."""
        return await self._program.hear("reached", timeout)

    async def stats(self) -> Answer:
        """Counts so far."""
        return await self._program.ask("stats", "stats")

    async def drop(self) -> None:
        """Reset all connections."""
        await self._program.ask("drop", "dropped")


def _answered(answer: Answer) -> Answer:
    if answer["unanswered"] or answer["lost"]:
        raise BenchError(f"{answer['unanswered']} messages were not answered: {answer}")
    return answer


def sources(connections: int) -> int:
    """How many source addresses a client for so many connections takes, from `source` on.

    Two thirds of an address's ports stay free for connections that come and go.
    """
    return math.ceil(connections / 18_000)


@asynccontextmanager
async def load_client(
    port: int,
    connections: int,
    dialect: Dialect,
    *,
    mint: Callable[[], str] | None = None,
    tokens: int | None = None,
    source: str = "127.0.0.2",
    in_flight: int = 64,
    rate: float = 0,
    seconds: float = 1800,
) -> AsyncIterator[LoadClient]:
    """A client for up to `connections` to `port`, for the length of the block and `seconds` at most.

    `mint` makes an access token; as many as `connections` are made, or `tokens`, and used in turn.
    """
    command: list[str | Path] = [
        c_program("load/load.c"),
        *("--port", str(port), "--connections", str(connections), "--path", dialect.path),
        *("--source", source, "--sources", str(sources(connections))),
        *("--in-flight", str(in_flight), "--rate", str(rate), "--seconds", str(seconds)),
        *("--greetings", str(dialect.greetings), "--answers", str(dialect.answers)),
    ]
    if dialect.subprotocol:
        command += ["--subprotocol", dialect.subprotocol]
    if dialect.binary:
        command.append("--binary")
    for said in dialect.says:
        command += ["--hello", said.hex()]
    if dialect.beat:
        command += ["--beat", dialect.beat.hex()]
    with tempfile.NamedTemporaryFile("w", prefix="pulseboard-bench-") as file:
        if mint is not None:
            for _ in range(tokens or connections):
                file.write(mint() + "\n")
            file.flush()
            command += ["--tokens", file.name]
        program = await Program.start("load client", *command)
        try:
            await program.hear("ready", 10)
            yield LoadClient(program)
        finally:
            await program.stop()

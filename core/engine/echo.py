"""The raw echo mode: everything comes back, for conformance suites and benches."""

from collections.abc import Sequence

import msgspec

from core.config import Config
from core.engine.front import Front, make_hub
from core.logs import get_logger
from core.metrics import Metrics

MAX_MESSAGE = 16 * 1024 * 1024
# What may wait for one reader: a few messages of the largest size.
MAX_QUEUE = 4 * MAX_MESSAGE

log = get_logger("engine.echo")


class EchoServer:
    """Serves /echo with the engine's own sockets, parser and frames; needs no other server."""

    def __init__(self, config: Config) -> None:
        ws = msgspec.structs.replace(
            config.ws,
            max_message=MAX_MESSAGE,
            max_queue=MAX_QUEUE,
            compress_above=min(config.ws.compress_above, 0),
        )
        self._hub = make_hub(self, ws)
        self._front = Front(config, self._hub, self._opened, self.ready, echo=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._front.port

    def start(self) -> None:
        """Listen."""
        self._front.start()

    def stop(self) -> None:
        """Drop everybody."""
        self._front.stop()

    def ready(self) -> bool:
        """Whether new connections are welcome."""
        return self._front.accepting

    def reasons(self) -> list[str]:
        """Why it is not ready; empty if it is."""
        return [] if self._front.accepting else ["not listening"]

    def metrics(self) -> Metrics:
        """What happened at the sockets."""
        return self._front.metrics()

    def _opened(self, handle: int, token: str | None, forwarded: Sequence[str]) -> None:
        """The hub does the rest."""

    # The hub keeps messages of echo connections to itself; what is left for its handler:

    def on_message(self, handle: int, payload: bytes, binary: bool) -> None:
        """Not called: every connection is an echo."""

    def on_closed(self, handle: int, code: int) -> None:
        """Nothing is kept of a connection."""

    def on_alarm(self, handle: int) -> None:
        """Not called: nobody sets one."""

    def on_expiring(self, handle: int) -> None:
        """Not called: there are no tokens."""

    def on_failure(self, handle: int, error: Exception) -> None:
        """A bug: the connection ends, the server goes on."""
        log.error("connection failed", handle=handle, exc_info=error)

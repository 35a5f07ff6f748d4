from collections.abc import Callable
from typing import Protocol

from ext.lifetime import Lifetimes

class Door(Protocol):
    """Who decides about HTTP requests. Calls come from `poll`, never nested."""

    def on_request(self, handle: int, head: bytes) -> None:
        """An HTTP request's line and headers came, without the empty line: `upgrade` or `answer` it."""

    def on_long_request(self, handle: int) -> None:
        """An HTTP request is too long: `answer` it."""

class Handler(Protocol):
    """What the hub tells about its connections. Calls come from `poll` and `tick`, never nested."""

    def on_message(self, handle: int, payload: bytes, binary: bool) -> None:
        """A whole message arrived, in the connection's own kind of frame."""

    def on_closed(self, handle: int, code: int) -> None:
        """An upgraded connection ends with `code`; its identity can still be read, nothing can be sent.

        A code of 4000 or more is one that `close` or the hub itself gave: the peer's own count as 1000.
        """

    def on_alarm(self, handle: int) -> None:
        """The time given to `set_alarm` has come."""

    def on_expiring(self, handle: int) -> None:
        """The token ends within the expiry notice."""

    def on_failure(self, handle: int, error: Exception) -> None:
        """A call above raised `error`; the connection is being closed with 1011."""

class Hub(Lifetimes):
    """Owns the sockets of all connections of a worker, in one epoll set. Times are in milliseconds."""

    def __init__(
        self,
        handler: Handler,
        *,
        capacity: int,
        max_message: int,
        max_queue: int,
        ping_interval: int,
        pong_timeout: int,
        upgrade_timeout: int,
        auth_timeout: int,
        close_timeout: int,
        expiry_notice: int,
        deflate_above: int,
        message_rate: int,
        message_burst: int,
        call_soon: Callable[[Callable[[], None]], object],
    ) -> None: ...
    def __len__(self) -> int: ...
    def fileno(self) -> int: ...
    def listen(self, fd: int, door: Door) -> None: ...
    def stop_listening(self) -> None: ...
    def adopt(self, fd: int) -> int | None: ...
    def upgrade(
        self, handle: int, answer: bytes, binary: bool = False, window: int = 0, echo: bool = False
    ) -> bool: ...
    def answer(self, handle: int, response: bytes) -> bool: ...
    def peer(self, handle: int) -> str: ...
    def poll(self) -> None: ...
    def tick(self) -> None: ...
    def counters(self) -> dict[str, int]: ...

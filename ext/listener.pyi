from collections.abc import Callable

from picows import WSListener

from ext.hub import Hub

NO_DESCRIPTOR: str

Opened = Callable[[int, Listener], None]
Failed = Callable[[str], None]

class Listener(WSListener):
    """Hands one upgraded connection from picows to the hub."""

    def __init__(
        self,
        hub: Hub,
        binary: bool,
        window: int,
        echo: bool,
        token: str | None,
        opened: Opened,
        failed: Failed,
    ) -> None: ...
    @property
    def echo(self) -> bool: ...
    @property
    def token(self) -> str | None: ...
    @property
    def address(self) -> str: ...

"""Telling the service manager how a process is (sd_notify(3)): systemd, or `pulseboard up`."""

import asyncio
import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends state to the socket that the service manager named; without one it does nothing.

    A message that cannot be delivered is dropped: the process must not suffer from its manager.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        micros = environ.get("WATCHDOG_USEC", "")
        meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        #: Seconds within which the manager wants a sign of life; None: it does not watch.
        self.watchdog: float | None = int(micros) / 1e6 if micros.isdigit() and meant else None

    def ready(self) -> None:
        """The process is at work."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The process began to shut down."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's sign of life."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    async def keep_alive(self) -> None:
        """Give signs of life for as long as the event loop runs and the manager wants them."""
        while self.watchdog is not None:
            self.alive()
            # Half of what is asked for, as sd_watchdog_enabled(3) recommends.
            await asyncio.sleep(self.watchdog / 2)

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL of the abstract namespace.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.connect(address)
                sock.send(state.encode())
        except OSError:
            return

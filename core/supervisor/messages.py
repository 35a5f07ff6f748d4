"""What children tell their supervisor: the manager's side of sd_notify(3)."""

import asyncio
import os
import secrets
import socket
import struct
from collections.abc import Callable

_CREDENTIALS = struct.Struct("3i")


class Mailbox:
    """A socket that children find as ``NOTIFY_SOCKET``.

    `deliver` is called with the sender's process id and each of its ``KEY=value`` lines. Whatever
    another user sends is dropped.
    """

    def __init__(self, deliver: Callable[[int, str], None]) -> None:
        self._deliver = deliver
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        name = f"pulseboard-{os.getpid()}-{secrets.token_hex(8)}"
        self._socket.bind(f"\0{name}")
        #: The value of ``NOTIFY_SOCKET``; the @ marks the abstract namespace, which needs no file.
        self.address = f"@{name}"
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Hear nothing more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid, user, _ = _CREDENTIALS.unpack(content)
                    if user == os.geteuid():
                        for line in data.decode("utf-8", "replace").splitlines():
                            self._deliver(pid, line)

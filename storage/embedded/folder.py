"""The folder of one embedded server: private, and claimed by one process at a time."""

import errno
import fcntl
import os
import pwd
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import StartupError


class ServerFolder:
    """`path` with what a server needs besides its data: a claim, secrets, a port, a log.

    The log is ``logs/<name>.log`` beside the folder, where `name` is the folder's.
    """

    LOG_LIMIT = 16 * 1024 * 1024

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.parent / "logs" / f"{path.name}.log"
        self._claim: int | None = None

    def prepare(self) -> None:
        """Make the folder and that of the log, for the current user only.

        Raises:
            StartupError: naming the path and the user if that is not allowed or there is no room.
        """
        with file_errors(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.path, self.log.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
            if self.log.exists() and self.log.stat().st_size > self.LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))

    def claim(self) -> None:
        """Claim the folder until `release` or the end of this process.

        Raises:
            StartupError: naming the process that has it.
        """
        with file_errors(self.path):
            claim = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(claim, 32).decode().strip() or "unknown"
                os.close(claim)
                raise StartupError(f"{self.path}: is in use by the process with pid {holder}") from None
            os.ftruncate(claim, 0)
            os.pwrite(claim, str(os.getpid()).encode(), 0)
        self._claim = claim

    def release(self) -> None:
        """Give the claim back, if there is one."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def secret(self, name: str) -> str:
        """The random text kept in the file `name`, made when there is none."""
        kept = self.read(name)
        if not kept:
            kept = secrets.token_urlsafe(24)
            self.write(name, kept)
        return kept

    def read(self, name: str) -> str:
        """The text in the file `name`, or nothing."""
        with file_errors(self.path / name):
            try:
                return (self.path / name).read_text("utf-8").strip()
            except FileNotFoundError:
                return ""

    def write(self, name: str, text: str) -> None:
        """Replace the file `name` as a whole, readable for the current user only."""
        target, draft = self.path / name, self.path / f"{name}.new"
        with file_errors(target):
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)

    def port(self) -> int:
        """The port on 127.0.0.1 of last time if it is still free, else another one, which is kept."""
        kept = self.read("port")
        if kept.isdigit() and _is_free(int(kept)):
            return int(kept)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        self.write("port", str(port))
        return port


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` within the block into a `StartupError` that names the path and the user."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise StartupError(f"{where}: {error.strerror} (as user {current_user()})") from error


def current_user() -> str:
    """The name of the user this process acts as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of last time that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

"""The data folder: private, one `up` at a time, and the secrets that live in it."""

import fcntl
import os
import secrets
import stat
import tempfile
import tomllib
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from core.errors import StartupError
from storage.embedded.folder import file_errors

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


class Secrets(Struct, forbid_unknown_fields=True):
    """What `up` makes once and keeps."""

    auth_secret: str
    demo_password: str


class DataFolder:
    """`path`, claimed for the length of the block.

    Raises (on entering):
        StartupError: naming the path and the user, or the process that has the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "logs"
        self._claim = -1

    def __enter__(self) -> Self:
        with file_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_private(self.path)
            self._claim = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(self._claim, 32).decode().strip() or "unknown"
                self._release()
                raise StartupError(
                    f"{self.path} is in use by another `pulseboard up` (pid {holder}): "
                    "stop it, or set PULSEBOARD_DATA to another folder"
                ) from None
            os.ftruncate(self._claim, 0)
            os.pwrite(self._claim, str(os.getpid()).encode(), 0)
            self.logs.mkdir(exist_ok=True, mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def secrets(self) -> Secrets:
        """The secrets kept here; made and kept when there are none.

        Raises:
            StartupError: they can be neither read nor kept.
        """
        path = self.path / "secrets.toml"
        with file_errors(path):
            try:
                text = path.read_text("utf-8")
            except FileNotFoundError:
                made = Secrets(secrets.token_urlsafe(48), _readable_password())
                _write(path, made)
                return made
            except UnicodeDecodeError as error:
                raise StartupError(f"{path}: is damaged; put it back from a copy") from error
        try:
            return msgspec.convert(tomllib.loads(text), Secrets)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            # Made anew, it would end all sessions and hide what happened.
            raise StartupError(f"{path}: is damaged ({error}); put it back from a copy") from error

    def _release(self) -> None:
        if self._claim >= 0:
            os.close(self._claim)
            self._claim = -1


def _make_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    # The right to pass through stays: root may have given it to the account that runs PostgreSQL.
    wanted = mode & ~0o066 | 0o700
    if wanted != mode:
        path.chmod(wanted)


def _write(path: Path, made: Secrets) -> None:
    # mkstemp makes the file with mode 0600; both values need no escaping.
    lines = [f'{name} = "{value}"\n' for name, value in msgspec.structs.asdict(made).items()]
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(["# Made by `pulseboard up`. Keep it with the data, and to yourself.\n", *lines])
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


def _readable_password() -> str:
    """Eight syllables of one consonant and one vowel: about 49 bits, easy to type."""
    syllables = [secrets.choice(_CONSONANTS) + secrets.choice(_VOWELS) for _ in range(8)]
    return "-".join("".join(syllables[start : start + 2]) for start in range(0, 8, 2))

"""A node's identity on its machine: its Ed25519 key and who it is at which server."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from core.errors import ConfigError, StartupError


class _Document(Struct, forbid_unknown_fields=True):
    private_key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    server: str
    node_id: UUID | None = None


class Identity:
    """A key pair, and the node it became at `server`; `node_id` is None until it is enrolled.

    Kept in a JSON file that only its owner can read; the private key leaves it never.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey, server: str, node_id: UUID | None) -> None:
        self._path = path
        self._key = key
        self.server = server
        self.node_id = node_id

    @classmethod
    def load_or_create(cls, path: Path, server: str) -> "Identity":
        """The identity in `path`; a new one, saved at once, if there is no such file.

        Raises:
            ConfigError: the file is not an identity.
            StartupError: it can be neither read nor made.
        """
        try:
            document = msgspec.json.decode(path.read_bytes(), type=_Document)
        except FileNotFoundError:
            identity = cls(path, Ed25519PrivateKey.generate(), server, None)
            identity.save()
            return identity
        except OSError as error:
            raise StartupError(f"{path}: cannot be read: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}: is not a node's identity: {error}") from error
        key = Ed25519PrivateKey.from_private_bytes(document.private_key)
        return cls(path, key, document.server, document.node_id)

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (64 bytes) of `message`."""
        return self._key.sign(message)

    def save(self) -> None:
        """Write the file, whole or not at all, with mode 0600.

        Raises:
            StartupError: the folder cannot be written to.
        """
        document = _Document(self._key.private_bytes_raw(), self.server, self.node_id)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(self._path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
        except OSError as error:
            raise StartupError(f"{self._path}: cannot be written: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    # mkstemp makes the file with mode 0600; the name must never stand for half a key.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise

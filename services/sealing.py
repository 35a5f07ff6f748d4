"""Sealing: what is kept where others may read it, readable with our key only."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

VERSION = b"\x01"
KEY_ID_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16


class SealBroken(Exception):
    """What was to be opened was sealed for another purpose, by a key we do not have, or changed."""


class _Key(Struct, frozen=True):
    key_id: bytes
    cipher: AESGCM
    mac: bytes


class Sealer:
    """Seals with AES-256-GCM (NIST SP 800-38D) and tags with HMAC-SHA-256.

    Both keys come from a secret by HKDF (RFC 5869). An envelope names its key, so that what a
    former secret sealed stays readable: version (1 byte), key id (8), nonce (12), ciphertext, tag (16).
    """

    def __init__(self, secret: str, former: Sequence[str] = ()) -> None:
        """`secret` seals; what it or one of the `former` ones sealed can be opened."""
        self._keys = [_make_key(each) for each in (secret, *former)]

    def seal(self, content: bytes, purpose: str) -> bytes:
        """`content`, to be opened for the same `purpose` only."""
        key = self._keys[0]
        head = VERSION + key.key_id
        nonce = secrets.token_bytes(NONCE_BYTES)
        return head + nonce + key.cipher.encrypt(nonce, content, head + purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """What `seal` was given.

        Raises:
            SealBroken: it cannot be opened.
        """
        start = len(VERSION) + KEY_ID_BYTES
        head, nonce = sealed[:start], sealed[start : start + NONCE_BYTES]
        for key in self._keys:
            if head == VERSION + key.key_id and len(sealed) >= start + NONCE_BYTES + TAG_BYTES:
                try:
                    return key.cipher.decrypt(nonce, sealed[start + NONCE_BYTES :], head + purpose.encode())
                except InvalidTag as error:
                    raise SealBroken("the seal was made for something else, or broken") from error
        raise SealBroken("no key of ours made this seal")

    def tag(self, content: bytes, purpose: str, size: int = TAG_BYTES) -> bytes:
        """The first `size` bytes of a proof that we said `content`."""
        return _tag(self._keys[0], content, purpose)[:size]

    def tagged(self, tag: bytes, content: bytes, purpose: str) -> bool:
        """Whether `tag` is a proof that we, with whatever key, said `content`."""
        return any(hmac.compare_digest(_tag(key, content, purpose)[: len(tag)], tag) for key in self._keys)


def _make_key(secret: str) -> _Key:
    raw = HKDF(SHA256(), 64, salt=None, info=b"pulseboard sealing v1").derive(secret.encode())
    key_id = hashlib.sha256(b"pulseboard sealing key id\0" + raw[:32]).digest()[:KEY_ID_BYTES]
    return _Key(key_id, AESGCM(raw[:32]), raw[32:])


def _tag(key: _Key, content: bytes, purpose: str) -> bytes:
    return hmac.digest(key.mac, purpose.encode() + b"\0" + content, "sha256")

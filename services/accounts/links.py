"""Tokens that come by mail: 32 random bytes, kept as their SHA-256, good once."""

import hashlib
import secrets
from typing import NamedTuple

from core.errors import InvalidInput

TOKEN_BYTES = 32


class LinkToken(NamedTuple):
    """A token as it is sent, and as it is kept."""

    text: str
    hashed: bytes


def new_token() -> LinkToken:
    """A fresh token."""
    text = secrets.token_urlsafe(TOKEN_BYTES)
    return LinkToken(text, hash_of(text))


def hash_of(token: str) -> bytes:
    """Under what a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def invalid_link() -> InvalidInput:
    """What is answered to a token that does not serve."""
    return InvalidInput("link_invalid", "The link is unknown, has served or has expired. Ask for a new one.")

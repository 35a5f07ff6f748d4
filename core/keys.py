"""The keys that sign tokens, read from the configuration and judged before anything is signed."""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from core.config import Config
from core.errors import ConfigError

MIN_LENGTH = 32
# Bits that a key must have as far as its characters tell; 32 random hex digits show 97 or more.
MIN_BITS = 64
# Of so many characters no piece of a random key is likely to come twice.
PIECE = 4
# Parts of keys that stand in examples until somebody replaces them.
PLACEHOLDERS = (
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "placeholder",
    "your-secret",
    "your_secret",
)


class Keys(Struct, frozen=True):
    """`current` signs; the `former` ones signed before and still verify."""

    current: str
    former: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Keys(1 current, {len(self.former)} former)"


def load_keys(config: Config) -> Keys:
    """The keys that `config` names, from settings and files.

    Raises:
        ConfigError: there is none; one cannot be read, is too short or easy to guess.
    """
    auth = config.auth
    if not auth.secret and not auth.secret_file:
        raise ConfigError(
            "configuration: auth.secret: is required; set it or PULSEBOARD_AUTH_SECRET, "
            "or let `pulseboard up` see to it"
        )
    current = (
        _judged(auth.secret, "auth.secret") if auth.secret else _read(auth.secret_file, "auth.secret_file")
    )
    former = [_judged(secret, "auth.former_secrets") for secret in auth.former_secrets]
    former += [_read(path, "auth.former_secret_files") for path in auth.former_secret_files]
    return Keys(current, tuple(dict.fromkeys(key for key in former if key != current)))


def _read(path: str, setting: str) -> str:
    where = f"{setting}: {path}"
    try:
        return _judged(Path(path).expanduser().read_text("utf-8").strip(), where)
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is not text") from error


def _judged(secret: str, where: str) -> str:
    if len(secret) < MIN_LENGTH:
        raise ConfigError(f"{where}: must hold at least {MIN_LENGTH} characters")
    if any(part in secret.casefold() for part in PLACEHOLDERS):
        raise ConfigError(f"{where}: is a placeholder; make a key, as with `openssl rand -base64 48`")
    if not hard_to_guess(secret):
        raise ConfigError(f"{where}: is easy to guess; make a key, as with `openssl rand -base64 48`")
    return secret


def hard_to_guess(secret: str) -> bool:
    """Whether `secret` looks random: no piece repeated, no row of keys or letters, many characters.

    It finds mistakes; that a key came from chance no look at it can tell.
    """
    pieces = [secret[at : at + PIECE] for at in range(len(secret) - PIECE + 1)]
    if len(set(pieces)) < len(pieces) * 3 / 4:
        return False  # the same again and again
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    return min(_bits(secret), _bits(steps)) >= MIN_BITS


def _bits(values: Iterable[object]) -> float:
    """How many bits a sequence has if only the frequency of its values is known (Shannon 1948)."""
    counts = Counter(values)
    total = counts.total()
    return -sum(count * math.log2(count / total) for count in counts.values())

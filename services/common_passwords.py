"""Passwords that attackers try first: a list, and the simple forms of what is on it.

The list is that of zxcvbn-ts (MIT, see `data/common_passwords.license.txt`): some 49,000 passwords
from leaks. Nearly all are shorter than what we accept, and what people make of them to get to the
length is what counts: two of them, the same again, digits and signs around it, signs for letters.
"""

import lzma
import unicodedata
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Self

# Signs that people put before and behind a word; more than that is a password of its own.
AROUND = 8
# Letters of the shortest word that a pair is made of.
WORD = 4
# What a repeated piece has at most, to be no password whatever it is.
PIECE = 5

_SIGNS = "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_LOOKS = str.maketrans(
    {"@": "a", "4": "a", "3": "e", "0": "o", "$": "s", "5": "s", "7": "t", "1": "i", "!": "i"}
)
_ROWS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "1q2w3e4r5t6y7u8i9o0p",
)
_WALKS = (*_ROWS, *(row[::-1] for row in _ROWS))


class CommonPasswords:
    """Tells passwords that are no secret."""

    def __init__(self, known: Iterable[str]) -> None:
        """`known` are casefolded."""
        self._known = frozenset(known)

    @classmethod
    def shipped(cls) -> Self:
        """The list that comes with the product."""
        packed = files("services").joinpath("data/common_passwords.txt.xz").read_bytes()
        return cls(lzma.decompress(packed).decode().split("\n"))

    def __len__(self) -> int:
        return len(self._known)

    def includes(self, password: str, personal: Iterable[str] = ()) -> bool:
        """Whether `password` is common, or made of one of the `personal` words, in a simple form."""
        words = {word for text in personal if len(word := _fold(text)) > 2}
        folded = _fold(password)
        if any(folded in walk for walk in _WALKS):
            return True
        return any(self._has(form, words) or self._has_both(form, words) for form in _forms(folded))

    def _has(self, text: str, words: set[str]) -> bool:
        return text in self._known or text in words

    def _has_both(self, text: str, words: set[str]) -> bool:
        ends = range(WORD, len(text) - WORD + 1)
        return any(self._has(text[:end], words) and self._has(text[end:], words) for end in ends)


def _fold(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


def _forms(folded: str) -> Iterator[str]:
    """What `folded` may have been made from."""
    for text in (folded, folded.translate(_LOOKS)):
        yield from _with_unit(text)
    for text in (folded.strip(_SIGNS), folded.rstrip(_SIGNS), folded.lstrip(_SIGNS)):
        if text and len(folded) - len(text) <= AROUND:
            yield from _with_unit(text)
            yield from _with_unit(text.translate(_LOOKS))


def _with_unit(text: str) -> Iterator[str]:
    """`text`, and the piece that it repeats."""
    yield text
    # The first place where a text is found in itself doubled is the length of its period.
    period = (text + text).find(text, 1)
    if period < len(text):
        yield text[:period] if period > PIECE else "password"

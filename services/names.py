"""Names that people give to themselves and to their machines."""

import unicodedata

from core.errors import InvalidInput

NAME_LENGTH = 64

# Controls, surrogates, unassigned, and the separators that break a line.
_REFUSED = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
# Embeddings, overrides and isolates: they let a name rewrite the text around it (UTS #55).
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(text: str, field: str) -> str:
    """`text` NFC-normalised, without blanks around it: 1 to `NAME_LENGTH` printable characters.

    Raises:
        InvalidInput: "invalid_input", naming `field`.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name or len(name) > NAME_LENGTH:
        raise InvalidInput("invalid_input", f"{field}: must have 1 to {NAME_LENGTH} characters.", field=field)
    if any(unicodedata.category(char) in _REFUSED or char in _BIDI for char in name):
        raise InvalidInput("invalid_input", f"{field}: must not have control characters.", field=field)
    return name


def label(text: str, length: int = 200) -> str:
    """What a stranger wrote (a User-Agent header), cut to `length` and to printable characters."""
    return "".join(char for char in text[:length] if char.isprintable())

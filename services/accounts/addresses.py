"""E-mail addresses in the one form under which an account has them."""

import unicodedata

from email_validator import validate_email

from core.errors import InvalidInput

EMAIL_MAX = 254

# Scripts that are written together; every other mixture is a disguise (UTS #39 §5.1).
_TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"}),
    frozenset({"CJK", "HANGUL"}),
    frozenset({"CJK", "BOPOMOFO"}),
)


def normal_email(email: str, field: str = "email") -> str:
    """`email` valid, NFC and without case, the domain in ASCII (IDNA).

    The part before the @ has letters of one script only, and none that is another in disguise.

    Raises:
        InvalidInput: "invalid_input", naming `field`.
    """
    if len(email) > EMAIL_MAX:
        raise _refused(field, "The address is too long.")
    try:
        found = validate_email(email, check_deliverability=False)
    except ValueError as error:
        reason = "The address has characters that are no text." if isinstance(error, UnicodeError) else error
        raise InvalidInput("invalid_input", f"{field}: {reason}", field=field) from error
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", found.local_part).casefold())
    if local != unicodedata.normalize("NFKC", local) or not _one_script(local):
        raise _refused(field, "The address mixes letters that look alike.")
    address = f"{local}@{found.ascii_domain}"
    if len(address) > EMAIL_MAX:
        raise _refused(field, "The address is too long.")
    return address


def _one_script(text: str) -> bool:
    # A letter's script is the first word of its name: CYRILLIC SMALL LETTER A.
    letters = (char for char in text if unicodedata.category(char).startswith("L"))
    scripts = {unicodedata.name(char, "").partition(" ")[0] for char in letters}
    return len(scripts) <= 1 or any(scripts <= family for family in _TOGETHER)


def _refused(field: str, reason: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{field}: {reason}", field=field)

"""One-time codes that change with time (RFC 6238 over RFC 4226), and recovery codes.

Twenty lines on the standard library: a dependency would be more code to trust than it saves.
"""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote

DIGITS = 6
STEP_SECONDS = 30
SECRET_BYTES = 20
RECOVERY_CODES = 10
RECOVERY_BYTES = 10


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of a time step (RFC 4226 §5.3, HMAC-SHA-1)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(secret: bytes, code: str, now_ms: int) -> int | None:
    """The step that `code` belongs to: now's, or the one before or after it (RFC 6238 §5.2)."""
    current = now_ms // 1000 // STEP_SECONDS
    found = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            found = step
    return found


def is_code(text: str) -> bool:
    """Whether `text` has the form of a code, and not of a recovery code."""
    return len(text) == DIGITS and text.isascii() and text.isdigit()


def new_secret() -> bytes:
    """A fresh secret, 160 bits (RFC 4226 §4 R6)."""
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """`secret` as people type it into an app: base32."""
    return base64.b32encode(secret).decode()


def uri(secret: bytes, account: str, issuer: str) -> str:
    """`secret` as a QR code carries it (the otpauth format of the authenticator apps)."""
    label = quote(f"{issuer}:{account}", safe="")
    return f"otpauth://totp/{label}?secret={secret_text(secret)}&issuer={quote(issuer, safe='')}"


def new_recovery_codes() -> list[str]:
    """Fresh recovery codes of 80 bits each, in groups of four characters."""
    codes = [
        base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)
    ]
    return ["-".join(code[i : i + 4] for i in range(0, len(code), 4)) for code in codes]


def recovery_hash(code: str) -> bytes:
    """Under what a recovery code is kept, however it was typed; 80 random bits need no slow hash."""
    bare = "".join(char for char in code.casefold() if char.isalnum())
    return hashlib.sha256(b"pulseboard recovery code\0" + bare.encode("utf-8", "surrogatepass")).digest()

"""Passwords that are chosen."""

import unicodedata

from core.errors import InvalidInput
from services.accounts.credentials import normal_password
from services.common_passwords import CommonPasswords
from services.passwords import Passwords

PASSWORD_MIN = 12
PASSWORD_MAX = 128
PRODUCT = "pulseboard"


class NewPasswords:
    """Judges and hashes new passwords: any characters, as long as they are a secret (NIST SP 800-63B)."""

    def __init__(self, passwords: Passwords, common: CommonPasswords) -> None:
        self._passwords = passwords
        self._common = common

    def acceptable(self, password: str, email: str, display_name: str, field: str = "password") -> str:
        """`password` in the form that is hashed, for somebody of this address and name.

        Raises:
            InvalidInput: "invalid_input" for its length, "password_common" if it is no secret.
        """
        secret = normal_password(password)
        # Half a surrogate pair is no character; nothing can hash it.
        broken = any(unicodedata.category(char) == "Cs" for char in secret)
        if broken or not PASSWORD_MIN <= len(secret) <= PASSWORD_MAX:
            raise InvalidInput(
                "invalid_input",
                f"{field}: must have {PASSWORD_MIN} to {PASSWORD_MAX} characters.",
                field=field,
            )
        if self._common.includes(secret, (email, email.partition("@")[0], display_name, PRODUCT)):
            raise InvalidInput(
                "password_common",
                f"{field}: This is among the first that others would try. Choose another one.",
                field=field,
            )
        return secret

    async def hash(self, secret: str) -> str:
        """The hash of an acceptable password.

        Raises:
            TooManyRequests: "busy".
        """
        return await self._passwords.hash(secret)

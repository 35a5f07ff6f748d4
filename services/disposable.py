"""Mail domains whose boxes are thrown away.

The list is that of the package `disposable-email-domains` (MIT; its data CC0), which appears anew every week.
"""

from collections.abc import Container
from typing import Self


class DisposableDomains:
    """Tells mail domains that give everybody a box for some minutes."""

    def __init__(self, known: Container[str]) -> None:
        """`known` are lower-case, in ASCII (IDNA)."""
        self._known = known

    @classmethod
    def shipped(cls) -> Self:
        """The list that comes with the product."""
        from disposable_email_domains import blocklist  # noqa: PLC0415  # a megabyte that only the API needs

        return cls(blocklist)

    def domain_of(self, email: str) -> str | None:
        """The listed domain that an address belongs to, itself or one above it; None if there is none."""
        labels = email.rpartition("@")[2].split(".")
        names = (".".join(labels[start:]) for start in range(len(labels) - 1))
        return next((name for name in names if name in self._known), None)

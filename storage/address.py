"""Where a server is, said without its password."""

import re

# Strict on purpose: in an address that does not look exactly like this (an unescaped "@" or "/" in
# the password, say) nobody can tell where the password ends.
_ADDRESS = re.compile(
    r"""[a-z]+://
        (?:[^@/?\#\s]*@)?
        (?P<place>
            (?:\[[0-9A-Fa-f:.]+\]|[\w.-]*)(?::\d+)?
            (?:,(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d+)?)*
            (?:/[^@?\#\s]*)?
        )
        (?:\?[^@\s]*)?""",
    re.VERBOSE,
)


def describe(url: str) -> str:
    """Host, port and path of `url`, or "the configured address" if they cannot be told from a password."""
    match = _ADDRESS.fullmatch(url)
    return (match and match["place"]) or "the configured address"

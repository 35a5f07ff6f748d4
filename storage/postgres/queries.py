"""Named SQL, kept in files."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(topic: str) -> dict[str, str]:
    """The statements of ``sql/<topic>.sql`` by the name in their ``-- name:`` line, without comments."""
    text = files(__package__).joinpath("sql", f"{topic}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    return {
        name: "\n".join(line for line in body.splitlines() if line and not line.startswith("--"))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def prefix_range(prefix: str) -> tuple[str, str]:
    """The least and the greatest text that begins with `prefix`, in collation "C".

    Unlike LIKE with a parameter, BETWEEN these can use an index in every plan.
    """
    return prefix, prefix + chr(0x10FFFF)

"""Generates the configuration's reference page and default file from `core.config`."""

import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from generated import publish
from msgspec import Meta

from core.config import Config, Setting, settings

PAGE = "docs/reference/configuration.md"
FILE = "configs/pulseboard.toml"

HEAD = """\
# Configuration

Values come, each over the one before, from the defaults below, a TOML file, the environment and the flags
of the command line. An unknown key, a wrong type or an impossible value is refused with its source, key and
reason; nothing starts half-configured.

```console
$ pulseboard --config pulseboard.toml check-config
```

The file is named by `--config`, before the command, or by `PULSEBOARD_CONFIG`. In the environment a list is
written with commas between its entries. A file with every default stands in `configs/pulseboard.toml`.

This page is generated from `core/config.py`.
"""

FILE_HEAD = """\
# Pulseboard's configuration: every key with its default. Remove the `#` before a key to change it.
# Order, later wins: defaults, this file, PULSEBOARD_* environment, flags.
# Check it with: pulseboard --config FILE check-config
# Generated from core/config.py by scripts/config_reference.py.
"""


def kind(setting: Setting) -> str:
    """The setting's type and bounds in words."""
    hint, bounds = setting.kind, ""
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        units = "entries" if get_origin(hint) is list else "characters"
        bounds = _bounds([mark for mark in marks if isinstance(mark, Meta)], units)
    if get_origin(hint) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(hint))
    words = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "`true` or `false`",
        list[str]: "list of texts",
        list[int]: "list of whole numbers",
    }[hint]
    return f"{words}, {bounds}" if bounds else words


def _bounds(marks: list[Meta], units: str) -> str:
    found: dict[str, Any] = {}
    for mark in marks:
        for name in ("ge", "gt", "le", "min_length", "max_length"):
            value = getattr(mark, name)
            if value is not None:
                found[name] = value
    parts = [
        template.format(f"{found[name]:,}", units=units)
        for name, template in (
            ("ge", "at least {}"),
            ("gt", "above {}"),
            ("le", "at most {}"),
            ("min_length", "at least {} {units}"),
            ("max_length", "at most {} {units}"),
        )
        if name in found and not (name == "min_length" and found[name] == 1)
    ]
    return ", ".join(parts) or ("not empty" if found.get("min_length") else "")


def literal(value: Any) -> str:
    """`value` in TOML; JSON writes texts, numbers, truth values and lists of texts the same way."""
    return json.dumps(value, ensure_ascii=False)


def sections() -> Iterator[tuple[str, str, list[Setting]]]:
    """Each section's name ("" at the top), docstring and settings."""
    hints = get_type_hints(Config)
    for name, group in groupby(settings(), key=lambda setting: setting.section):
        yield name, inspect.getdoc(hints[name]) or "" if name else "", list(group)


def page() -> str:
    """The reference page, in Markdown."""
    parts = [HEAD]
    for name, about, group in sections():
        parts.append(f"\n## {f'`[{name}]`' if name else 'Outside the sections'}\n")
        if about:
            parts.append(f"\n{about}\n")
        parts.append("\n| key | default | type | meaning | environment |\n| --- | --- | --- | --- | --- |\n")
        parts.extend(
            f"| `{s.key}` | `{literal(s.default)}` | {kind(s)} | {s.description} | `{s.env}` |\n"
            for s in group
        )
    return "".join(parts)


def file() -> str:
    """The default configuration file, in TOML, every key commented out."""
    parts = [FILE_HEAD]
    for name, about, group in sections():
        if name:
            parts.append(f"\n# {about}\n[{name}]\n")
        for setting in group:
            text = f"{setting.description} {kind(setting)[:1].upper()}{kind(setting)[1:]}."
            parts.append("\n" + textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ") + "\n")
            parts.append(f"#{setting.key} = {literal(setting.default)}\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(publish({PAGE: page(), FILE: file()}, __doc__))

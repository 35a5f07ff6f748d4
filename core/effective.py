"""The configuration in effect, for people to read: secrets are masked."""

import json
import re
from typing import Any

from core.config import Config, Setting, settings

MASK = "***"
_SECRETS = {("auth", "secret"), ("auth", "former_secrets"), ("mail", "smtp_password")}
_ADDRESSES = {("database", "dsn"), ("redis", "url")}
# Strict on purpose: of an address that looks otherwise nobody can tell where the password ends.
_ADDRESS = re.compile(r"([a-z]+://)(?:[^@/?#\s]*@)?([\w.\-\[\]:,]*(?:/[^@?#\s]*)?)(?:\?[^@\s]*)?")


def describe(config: Config) -> str:
    """`config` as TOML that names every setting; what could be a secret is replaced by ``***``."""
    lines: list[str] = []
    section = ""
    for setting in settings():
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"]
        value = getattr(getattr(config, section) if section else config, setting.key)
        lines.append(f"{setting.key} = {_toml(_masked(setting, value))}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _masked(setting: Setting, value: Any) -> Any:
    name = (setting.section, setting.key)
    if value and name in _SECRETS:
        return [MASK] * len(value) if isinstance(value, list) else MASK
    if value and name in _ADDRESSES:
        match = _ADDRESS.fullmatch(value)
        if match is None:
            return MASK
        return value if match[0] == match[1] + match[2] else f"{match[1]}{MASK}@{match[2]}"
    return value


def _toml(value: Any) -> str:
    # The texts and lists of texts that settings have are written alike in both languages.
    return json.dumps(value, ensure_ascii=False)

"""The default configuration file says what the code says."""

import re
from pathlib import Path

from core import config

FILE = Path(__file__).parents[3] / "configs/pulseboard.toml"


def test_the_default_file_changes_nothing() -> None:
    assert config.load(FILE, environ={}) == config.Config()


def test_the_default_file_names_every_key_with_its_default(tmp_path: Path) -> None:
    every_key = tmp_path / "every-key.toml"
    every_key.write_text(re.sub(r"(?m)^#(?=\w+ = )", "", FILE.read_text("utf-8")), "utf-8")
    assert config.load(every_key, environ={}) == config.Config()
    assert every_key.read_text("utf-8").count(" = ") == len(list(config.settings()))

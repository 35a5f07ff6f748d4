"""The built page keeps to its budget and to its own content security policy."""

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

BUNDLE = Path(__file__).resolve().parents[3] / "core" / "http" / "static"
INITIAL_SCRIPT_BUDGET = 120 * 1024


class Index(HTMLParser):
    """What ``index.html`` refers to and what it holds inline."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed((BUNDLE / "index.html").read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.references += [value for name in ("src", "href") if (value := names.get(name))]
        self._script = tag == "script"
        if tag == "style" or "style" in names or any(name.startswith("on") for name in names):
            self.inline.append(tag)

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)


@pytest.fixture(name="index", scope="module")
def parsed_index() -> Index:
    return Index()


def test_the_page_holds_no_inline_script_or_style(index: Index) -> None:
    assert index.inline == []


def test_every_file_the_page_refers_to_is_in_the_bundle(index: Index) -> None:
    assert index.references
    for reference in index.references:
        assert re.fullmatch(r"/assets/[\w.-]+-[\w-]{8}\.\w+", reference), reference
        assert (BUNDLE / reference.lstrip("/")).is_file()


def test_the_initial_script_is_within_its_budget(index: Index) -> None:
    scripts = [BUNDLE / name.lstrip("/") for name in index.references if name.endswith(".js")]
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) <= INITIAL_SCRIPT_BUDGET


def test_styles_load_nothing_from_elsewhere() -> None:
    styles = [style.read_text("utf-8") for style in BUNDLE.rglob("*.css")]
    targets = [target for style in styles for target in re.findall(r"url\(\s*['\"]?([^'\")]+)", style)]
    assert targets
    assert all(re.match(r"(/assets/|\./|[\w-]+\.)", target) for target in targets), targets
    assert not any("@import" in style for style in styles)

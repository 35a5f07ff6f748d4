"""What the documents point at exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"(?m)^#+ (.+)$")
TARGET = re.compile(r"(?m)^([a-z-]+):")


def anchors(document: Path) -> set[str]:
    """The fragment of every heading, as the documentation's generator makes it."""
    plain = (
        re.sub(r"[^\w\s-]", "", title).strip().lower()
        for title in HEADING.findall(document.read_text("utf-8"))
    )
    return {re.sub(r"[\s-]+", "-", title) for title in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    dead = []
    for link in LINK.findall(document.read_text("utf-8")):
        if "://" in link:
            continue
        name, _, fragment = link.partition("#")
        target = document.parent / name if name else document
        if not target.exists() or (fragment and fragment not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_make_command_that_documents_name_exists() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    named = {
        command
        for document in DOCUMENTS
        for command in re.findall(r"(?:`|\$ )make ([a-z][a-z-]*)", document.read_text("utf-8"))
    }
    assert named - targets == set()


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text("utf-8")))
    assert listed == {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}

"""What must not stand in any file of the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Written in parts, or this file would be found.
FORBIDDEN = {
    "an address of a package registry": re.compile(
        r"(?:pypi\.|registry\." + r"npmjs\.|deb\.debian\.|files\.python" + r"hosted\.)(?:org|com|io)"
    ),
    "an index address": re.compile(r"(?:--)?(?:extra-)?index" + r"-url\s*[= ]\s*\S*://"),
    "a download address": re.compile(r'"resolved"' + r'\s*:\s*"https?:'),
    "a folder of one machine": re.compile(r"(?<![\w.~$}-])/(?:home|root|work" + r"|Users)/[\w.-]+"),
}


def repository_files() -> list[Path]:
    """All files that are, or are about to be, under version control."""
    listing = subprocess.run(
        [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The text files by name; pictures and fonts are left out."""
    found = {}
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content:
            found[path.relative_to(ROOT).as_posix()] = content.decode("utf-8")
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str, texts: dict[str, str]) -> None:
    found = {
        name: match[0] for name, text in texts.items() if (match := FORBIDDEN[what].search(text)) is not None
    }
    assert found == {}


def test_tests_are_no_packages() -> None:
    assert [path for path in ROOT.glob("tests/**/__init__.py") if ".cache" not in path.parts] == []


def test_scripts_can_be_executed() -> None:
    shell = [
        path for path in [*ROOT.glob("scripts/*"), ROOT / ".ci/run"] if path.suffix == "" and path.is_file()
    ]
    assert shell
    assert [path.name for path in shell if not path.stat().st_mode & 0o100] == []

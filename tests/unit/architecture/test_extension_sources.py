"""import-linter reads no Cython: these tests hold `ext` to the same rules."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*ROOT.glob("ext/*.pyx"), *ROOT.glob("ext/*.pxd")])

IMPORT = re.compile(
    r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+(?:\s*,\s*[\w.]+)*))", re.MULTILINE
)
C_LIBRARIES = {"libc", "posix", "cpython", "cython"}
OURS = {"picows", "nacl", "ext", "core.errors"}


def imported_modules(source: str) -> set[str]:
    """The absolute names of all modules that Cython `source` imports or cimports."""
    return {
        name.strip()
        for single, several in IMPORT.findall(source)
        for name in (single or several).split(",")
        if not name.startswith(".")
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_an_extension_imports_nothing_from_above_it(path: Path) -> None:
    allowed = C_LIBRARIES | OURS | sys.stdlib_module_names
    above = {
        name
        for name in imported_modules(path.read_text("utf-8"))
        if name not in allowed and name.partition(".")[0] not in allowed
    }
    assert above == set()


@pytest.mark.parametrize(
    ("line", "modules"),
    [
        ("from services.users import Users", {"services.users"}),
        ("    from libc.string cimport (\n  memcpy,\n)", {"libc.string"}),
        ("cimport cython, core.config", {"cython", "core.config"}),
        ("from . cimport table", set()),
        ('cdef extern from "sys/epoll.h" nogil:', set()),
    ],
)
def test_the_reader_of_imports_sees_every_form(line: str, modules: set[str]) -> None:
    assert imported_modules(line) == modules


def test_every_extension_has_a_stub() -> None:
    assert [path.name for path in ROOT.glob("ext/*.pyx") if not path.with_suffix(".pyi").exists()] == []


def test_every_header_and_stub_belongs_to_an_extension() -> None:
    strays = [
        path.name
        for path in [*ROOT.glob("ext/*.pxd"), *ROOT.glob("ext/*.pyi")]
        if not path.with_suffix(".pyx").exists()
    ]
    assert strays == []

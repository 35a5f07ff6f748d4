"""Every code that the source raises is in the registry, with the status it is raised with."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import errors
from core.http.codes import CODES

ROOT = Path(__file__).parents[3]
STATUSES = {
    name: kind.status
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.Refusal)
}
# The workers' own, which the WebSocket's reference page lists.
PLACES = sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "core" / "http").rglob("*.py")])


def raised(path: Path) -> Iterator[tuple[str, int]]:
    """The code and status of each refusal that is made in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        first = node.args[0]
        if node.func.id in STATUSES and isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value, STATUSES[node.func.id]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_raised_is_registered(path: Path) -> None:
    for code, status in raised(path):
        assert code in CODES, f"{code}: not in core/http/codes.py"
        assert CODES[code].status == status, code


def test_what_is_registered_is_raised_somewhere() -> None:
    source = "".join(path.read_text("utf-8") for path in PLACES if path.name != "codes.py")
    assert [code for code in CODES if f'"{code}"' not in source] == []


def test_a_meaning_is_a_sentence() -> None:
    for code, each in CODES.items():
        assert each.meaning.endswith("."), code
        assert 400 <= each.status <= 599

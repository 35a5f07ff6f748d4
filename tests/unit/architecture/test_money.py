"""Money is whole numbers: nothing near it is a float, or could become one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

MODULES = [
    "services/bonuses.py",
    "services/campaigns.py",
    "services/earnings.py",
    "services/estimates.py",
    "services/explain.py",
    "services/referrals.py",
    "services/proof.py",
    "services/rewards.py",
    "services/states.py",
    *(
        f"storage/{folder}{name}.py"
        for folder in ("", "base/", "memory/", "postgres/")
        for name in ("campaigns", "epochs", "ledger", "proofs")
    ),
]
STATEMENTS = [
    "campaigns.sql",
    "epochs.sql",
    "ledger.sql",
    "proofs.sql",
    "migrations/0008_ledger.sql",
    "migrations/0009_epochs.sql",
    "migrations/0012_campaigns.sql",
]

INEXACT_TYPE = re.compile(r"\b(?:real|float\d*|double\s+precision)\b", re.IGNORECASE)


def inexact(tree: ast.AST) -> Iterator[str]:
    """Where a module has a float, names the type, or divides without rounding."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield f"line {node.lineno}: the literal {node.value}"
            case ast.Name(id="float") | ast.Attribute(attr="float"):
                yield f"line {node.lineno}: float"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"line {node.lineno}: a division that is not //"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_knows_money_has_no_float(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text("utf-8"))

    assert list(inexact(tree)) == []


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_that_knows_money_has_no_inexact_type(name: str) -> None:
    text = (ROOT / "storage/postgres/sql" / name).read_text("utf-8")
    lines = [line.partition("--")[0] for line in text.splitlines()]

    assert [line for line in lines if INEXACT_TYPE.search(line)] == []


@pytest.mark.parametrize(
    "source", ["a = 1.0", "def f(a: float): ...", "a = b / c", "a /= 2", "a = 1e3", "a = builtins.float(1)"]
)
def test_a_float_is_seen_wherever_it_hides(source: str) -> None:
    assert len(list(inexact(ast.parse(source)))) == 1


def test_whole_numbers_are_let_through() -> None:
    assert list(inexact(ast.parse("a = b * 10**18 // c; a //= 3"))) == []

"""Named SQL files and the list of migrations."""

from pathlib import Path

import pytest

import storage.postgres
from storage.postgres.migrations import read_migrations
from storage.postgres.queries import load

SQL = Path(storage.postgres.__file__).parent / "sql"


@pytest.mark.parametrize("topic", [file.stem for file in SQL.glob("*.sql")])
def test_every_statement_has_a_name_and_a_body_without_comments(topic: str) -> None:
    statements = load(topic)
    assert statements
    for name, statement in statements.items():
        assert statement, name
        assert "--" not in statement


def test_migrations_are_numbered_without_gaps() -> None:
    migrations = read_migrations()
    assert [migration.version for migration in migrations] == list(range(1, len(migrations) + 1))


def test_only_numbered_sql_files_are_migrations(tmp_path: Path) -> None:
    for name in ("0002_b.sql", "0001_a.sql", "README", "notes.sql", "0003.sql", "0004_d.sql.orig"):
        (tmp_path / name).write_text("SELECT 1")
    assert [migration.name for migration in read_migrations(tmp_path)] == ["0001_a.sql", "0002_b.sql"]

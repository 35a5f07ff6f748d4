"""Where a server is, without its password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.address import describe


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ada:secret@db.example.org:5432/live?sslmode=require", "db.example.org:5432/live"),
        ("postgres://db.example.org/live", "db.example.org/live"),
        ("postgresql://ada:secret@one:5432,two:5433/live", "one:5432,two:5433/live"),
        ("redis://:secret@[::1]:6379/0", "[::1]:6379/0"),
        ("unix:///run/redis.sock?password=secret", "/run/redis.sock"),
        ("postgresql:///live?password=secret", "/live"),
        ("postgresql://ada:sec/ret@host/live", "the configured address"),
        ("postgresql://ada:sec?ret@host/live", "the configured address"),
        ("postgresql://ada:sec#ret@host/live", "the configured address"),
        ("postgresql://ada:s@cret@host/live", "the configured address"),
        ("postgresql://ada:secret", "the configured address"),
        ("secret", "the configured address"),
        ("", "the configured address"),
    ],
)
def test_an_address_is_shown_only_where_its_password_can_be_told_apart(url: str, expected: str) -> None:
    assert describe(url) == expected


@given(st.text(alphabet="abc123:/?#@[]%&= ", min_size=1))
def test_no_password_whatever_it_looks_like_is_shown(password: str) -> None:
    assert "Z" not in describe(f"postgresql://ada:Z{password}Z@host:5432/live")

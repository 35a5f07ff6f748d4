"""What makes an entry sound, and what an audit of entries and balances finds."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.structs import replace

from storage.base import HOUSE, Account, Category, Entry, Posting
from storage.ledger import audit, is_overdrawn, sound, sums_by_account, waves

AT = datetime(2026, 3, 1, tzinfo=UTC)
ADA = UUID(int=0xADA)


def grant(key: str, amount: int, reverses: str | None = None) -> Entry:
    postings = [
        Posting(user_id=HOUSE, account="issued", category="usage", amount=-amount),
        Posting(user_id=ADA, account="final", category="usage", amount=amount),
    ]
    return Entry(key=key, kind="reward", epoch=1, at=AT, postings=postings, reverses=reverses)


def test_postings_that_take_each_other_back_are_none() -> None:
    entry = grant("one", 5)
    back = [replace(posting, amount=-posting.amount) for posting in entry.postings]

    assert sound(replace(entry, postings=[*entry.postings, *back])).postings == []


def test_an_entry_comes_after_the_one_it_takes_back() -> None:
    entries = [grant("a", 1), grant("b", 1), grant("c", 1, "b"), grant("d", 1, "a"), grant("e", 1, "d")]

    assert [[entry.key for entry in wave] for wave in waves(entries)] == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.parametrize(
    ("account", "amount", "overdrawn"),
    [
        ("claimable", -1, True),
        ("claimed", -1, True),
        ("claimable", 0, False),
        ("final", -1, True),
        ("pending", -1, False),
        ("lost", -1, False),
        ("issued", 1, True),
        ("issued", -1, False),
        ("corrections", -1, False),
    ],
)
def test_some_accounts_have_bounds(account: Account, amount: int, overdrawn: bool) -> None:
    assert is_overdrawn(account, amount) is overdrawn


def test_an_audit_of_sound_entries_finds_nothing() -> None:
    entries = [grant("one", 5), grant("two", 7, "one")]

    assert audit(entries, sums_by_account(entries)) == []


def test_an_audit_finds_one_row_of_each_kind() -> None:
    entries = [grant("one", 5), grant("two", 7, "three"), grant("three", 7)]
    entries[0] = replace(entries[0], postings=[*entries[0].postings, *grant("", 1).postings[1:]])
    entries[2] = replace(
        entries[2],
        postings=[*entries[2].postings, Posting(user_id=ADA, account="claimed", category="usage", amount=-9)],
    )
    balances: dict[tuple[UUID, Account, Category], int] = {
        (HOUSE, "issued", "usage"): -19,
        (ADA, "unallocated", "usage"): 3,
    }

    found = {finding.invariant: finding.row for finding in audit(entries, balances)}

    assert found == {
        "balanced": {"entry_id": 1, "category": "usage", "amount": 1},
        "reversal": {"entry_id": 2, "reverses": 3},
        "balance": {"user_id": ADA, "account": "claimed", "category": "usage", "shown": 0, "amount": -9},
        "account": {"user_id": ADA, "account": "unallocated"},
        "overdrawn": {"user_id": ADA, "account": "claimed", "category": "usage", "amount": -9},
    }

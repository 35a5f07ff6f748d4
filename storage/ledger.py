"""What makes an entry sound, and what the ledger's invariants are, apart from any store."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import get_args
from uuid import UUID

from msgspec.structs import replace

from core.errors import InvalidInput
from storage.base.ledger import (
    HOUSE,
    Account,
    Category,
    Entry,
    Finding,
    HouseAccount,
    Posting,
    UserAccount,
)

#: No amount of a posting is beyond this, either way; no balance has more than 38 digits.
MOST = 10**37
BALANCE_MOST = 10**38 - 1

#: Whoever owns them, these never fall below 0.
NEVER_NEGATIVE = ("final", "claimable", "claimed")

#: What does not hold when `LedgerStore.check` finds something, by the name of the invariant.
INVARIANTS = {
    "balanced": "the postings of entry {entry_id} come to {amount} for {category}, not to 0",
    "entered": "postings say entry {entry_id} at {at}, and there is no such entry",
    "complete": "entry {entry_id} was booked with other postings for {category} than there are now",
    "balance": "account {account} of {user_id} shows {shown} for {category}, its postings come to {amount}",
    "account": "{user_id} has an account {account}, which is not for them",
    "overdrawn": "account {account} of {user_id} comes to {amount} for {category}",
    "reversal": "entry {entry_id} takes back entry {reverses}, which is not from before it",
}

_HOUSE_ACCOUNTS = get_args(HouseAccount)
_USER_ACCOUNTS = get_args(UserAccount)

AccountKey = tuple[UUID, Account, Category]


def is_account_of(user_id: UUID, account: Account) -> bool:
    """Whether `user_id` may have that account: the house has its own."""
    return account in (_HOUSE_ACCOUNTS if user_id == HOUSE else _USER_ACCOUNTS)


def is_overdrawn(account: Account, amount: int) -> bool:
    """Whether an account must not come to `amount`."""
    return amount < 0 if account in NEVER_NEGATIVE else account == "issued" and amount > 0


def sound(entry: Entry) -> Entry:
    """`entry` with one posting at most for each account, category and maturity, and none of 0.

    Raises:
        InvalidInput: "entry_unbalanced" when it does not come to 0 for each category; "posting_invalid"
            for an amount, an account or a maturity that cannot be.
    """
    sums: dict[tuple[AccountKey, datetime | None], int] = defaultdict(int)
    for posting in entry.postings:
        if not is_account_of(posting.user_id, posting.account):
            raise InvalidInput("posting_invalid", f"{posting.user_id} has no account {posting.account}.")
        if posting.matures_at is not None and posting.account not in ("pending", "held"):
            raise InvalidInput("posting_invalid", f"Nothing in account {posting.account} matures.")
        sums[(posting.user_id, posting.account, posting.category), posting.matures_at] += posting.amount
    if any(abs(amount) > MOST for amount in sums.values()):
        raise InvalidInput("posting_invalid", f"An amount of entry {entry.key} is beyond all bounds.")
    postings = [
        Posting(user_id=user_id, account=account, category=category, amount=amount, matures_at=matures_at)
        for ((user_id, account, category), matures_at), amount in sums.items()
        if amount != 0
    ]
    for category, amount in sums_by_category(postings).items():
        if amount != 0:
            raise InvalidInput(
                "entry_unbalanced", f"Entry {entry.key} comes to {amount} for {category}, not to 0."
            )
    return replace(entry, postings=postings)


def sums_by_category(postings: Iterable[Posting]) -> dict[Category, int]:
    """What postings come to for each category."""
    sums: Counter[Category] = Counter()
    for posting in postings:
        sums[posting.category] += posting.amount
    return dict(sums)


def sums_by_account(entries: Iterable[Entry]) -> dict[AccountKey, int]:
    """What entries come to for each account and category."""
    sums: Counter[AccountKey] = Counter()
    for entry in entries:
        for posting in entry.postings:
            sums[posting.user_id, posting.account, posting.category] += posting.amount
    return dict(sums)


def waves(entries: Sequence[Entry]) -> list[list[Entry]]:
    """`entries` in their order, in runs of which none takes back another one of its own run."""
    runs: list[list[Entry]] = [[]]
    keys: set[str] = set()
    for entry in entries:
        if entry.reverses in keys:
            runs.append([])
            keys.clear()
        runs[-1].append(entry)
        keys.add(entry.key)
    return runs


def finding(invariant: str, **row: object) -> Finding:
    """That `invariant` does not hold, as the first offending `row` shows."""
    return Finding(invariant=invariant, row=row, detail=INVARIANTS[invariant].format(**row))


def audit(entries: Sequence[Entry], balances: Mapping[AccountKey, int]) -> list[Finding]:
    """The first offence against each invariant, of entries that have their ids from 1 on."""
    found = [*_wrong_entries(entries), *_wrong_accounts(sums_by_account(entries), balances)]
    first = {each.invariant: each for each in reversed(found)}
    return [first[invariant] for invariant in INVARIANTS if invariant in first]


def _wrong_entries(entries: Sequence[Entry]) -> Iterable[Finding]:
    ids = {entry.key: entry_id for entry_id, entry in enumerate(entries, 1)}
    for entry_id, entry in enumerate(entries, 1):
        for category, amount in sorted(sums_by_category(entry.postings).items()):
            if amount != 0:
                yield finding("balanced", entry_id=entry_id, category=category, amount=amount)
        if entry.reverses is not None and ids.get(entry.reverses, entry_id) >= entry_id:
            yield finding("reversal", entry_id=entry_id, reverses=ids.get(entry.reverses))


def _wrong_accounts(sums: Mapping[AccountKey, int], balances: Mapping[AccountKey, int]) -> Iterable[Finding]:
    for key in sorted({*sums, *balances}):
        user_id, account, category = key
        amount, shown = sums.get(key, 0), balances.get(key, 0)
        if amount != shown:
            yield finding(
                "balance", user_id=user_id, account=account, category=category, shown=shown, amount=amount
            )
        if not is_account_of(user_id, account):
            yield finding("account", user_id=user_id, account=account)
        if is_overdrawn(account, amount):
            yield finding("overdrawn", user_id=user_id, account=account, category=category, amount=amount)

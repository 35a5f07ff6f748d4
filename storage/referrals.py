"""What referrals are computed by: how codes compare, and the arithmetic of commissions.

A commission is what an ancestor gets of what somebody earned by work, in whole micro-points::

    wanted = floor(earned · share(level) · multiplier(tier of the ancestor) / 10,000²)
    amount = wanted                              if all that is wanted comes to the pool at most
             floor(wanted · pool / Σ wanted)     otherwise

Nothing is paid for commissions themselves: `earned` is what availability and usage brought.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from storage.base.ledger import HOUSE, Entry, Kind, Posting, UserAccount
from storage.base.referrals import (
    Commission,
    FlagKind,
    Level,
    Referral,
    ReferralDecision,
    ReferralTerms,
    Tier,
)

LEVELS: tuple[Level, ...] = (1, 2, 3)
# Traits that only one person has: who shares them with an ancestor is that ancestor.
HARD: frozenset[FlagKind] = frozenset({"mailbox", "wallet", "node_key", "device"})
# What is known of somebody by and by, and forgotten when it is old.
PASSING: frozenset[FlagKind] = frozenset({"address", "subnet", "device"})
WHOLE = 10_000

# Crockford's: no letter that is taken for a digit, and none that makes words.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, "_": None})

# Where dots in an address make no difference.
_DOTLESS = frozenset({"gmail.com", "googlemail.com"})


def normal_code(text: str) -> str:
    """What a code is compared by.

    Case, hyphens and what looks alike (O and 0; I, L and 1) make no difference.
    """
    return text.upper().translate(_LOOKS)


def mailbox(email: str) -> str:
    """The mailbox that an address leads to: tags make no difference, nor do dots where they make none."""
    local, _, domain = email.rpartition("@")
    owner = local.partition("+")[0] or local
    if domain in _DOTLESS:
        return f"{owner.replace('.', '')}@gmail.com"
    return f"{owner}@{domain}"


def above(referral: Referral) -> list[tuple[Level, UUID]]:
    """The ancestors of whom a referral is, with their levels."""
    ids = (referral.parent_id, referral.second_id, referral.third_id)
    return [(level, user_id) for level, user_id in zip(LEVELS, ids, strict=True) if user_id is not None]


def tier_of(active: int, tiers: Iterable[Tier]) -> Tier | None:
    """The tier of somebody who brought so many active people; None below the first."""
    reached = [tier for tier in tiers if tier.active <= active]
    return max(reached, key=lambda tier: tier.active, default=None)


def next_tier(active: int, tiers: Iterable[Tier]) -> Tier | None:
    """The tier that comes after; None in the highest."""
    return min((tier for tier in tiers if tier.active > active), key=lambda tier: tier.active, default=None)


def commissions_of(
    earned: Mapping[UUID, int],
    referrals: Iterable[Referral],
    living: Collection[UUID],
    pool: int | None,
    terms: ReferralTerms,
) -> list[Commission]:
    """The commissions of what was `earned` by person, by referee and level.

    `referrals` are all there are, `living` the accounts that are not erased. `pool` None: without a limit.
    """
    known = list(referrals)
    active: dict[UUID, int] = {}
    for referral in known:
        if referral.state == "good" and referral.active_at is not None:
            active[referral.parent_id] = active.get(referral.parent_id, 0) + 1
    wanted: list[Commission] = []
    for referral in sorted(known, key=lambda referral: referral.user_id):
        base = earned.get(referral.user_id, 0)
        if base <= 0 or referral.state == "refused" or referral.active_at is None:
            continue
        for level, ancestor in above(referral):
            tier = tier_of(active.get(ancestor, 0), terms.tiers)
            multiplier = tier.multiplier if tier else WHOLE
            amount = base * terms.shares[level - 1] * multiplier // (WHOLE * WHOLE)
            if ancestor in living:
                wanted.append(
                    Commission(
                        user_id=ancestor,
                        referee_id=referral.user_id,
                        level=level,
                        amount=amount,
                        held=referral.state == "review",
                    )
                )
    total = sum(each.amount for each in wanted)
    if pool is not None and total > pool:
        wanted = [replace(each, amount=each.amount * pool // total) for each in wanted]
    return [each for each in wanted if each.amount]


class Paid(Struct, frozen=True, kw_only=True):
    """What was paid to an ancestor for a referral: `amount`, of which `held` waits for the staff.

    `taken` was taken back, `lost` was to be, but had been claimed.
    """

    user_id: UUID
    referee_id: UUID
    amount: int
    held: int
    taken: int
    lost: int


class Fund(Struct, frozen=True, kw_only=True):
    """What somebody has in an account from which commissions can be taken back."""

    account: UserAccount
    matures_at: datetime | None
    amount: int


def settle(  # noqa: PLR0917  # all of what an entry is made of
    key: str,
    decision: ReferralDecision,
    epoch: int,
    at: datetime,
    paid: Iterable[Paid],
    funds: Mapping[UUID, Sequence[Fund]],
) -> tuple[Entry | None, list[Paid]]:
    """What a decision moves, and what was `paid` after it; no entry when nothing moves.

    released: what is held becomes final. refused: what is held goes back to the house, and so does the rest,
    from `funds`, in their order. What these do not cover is lost: the house's account of that name has it,
    the entry's memo says of whom.
    """
    after: list[Paid] = []
    held: dict[UUID, int] = defaultdict(int)
    due: dict[UUID, int] = defaultdict(int)
    left = {user_id: sum(fund.amount for fund in theirs) for user_id, theirs in funds.items()}
    lost: dict[UUID, int] = defaultdict(int)
    for each in paid:
        held[each.user_id] += each.held
        if decision == "released":
            after.append(replace(each, held=0))
            continue
        rest = each.amount - each.held - each.taken - each.lost
        got = min(rest, left.get(each.user_id, 0))
        left[each.user_id] = left.get(each.user_id, 0) - got
        due[each.user_id] += got
        lost[each.user_id] += rest - got
        after.append(replace(each, held=0, taken=each.taken + each.held + got, lost=each.lost + rest - got))
    postings = [
        Posting(user_id=user_id, account="held", category="referral", amount=-amount)
        for user_id, amount in held.items()
    ]
    if decision == "released":
        postings += [replace(posting, account="final", amount=-posting.amount) for posting in postings]
    for user_id, amount in due.items():
        postings += _taken(user_id, amount, funds.get(user_id, ()))
    missing = sum(lost.values())
    back = -sum(posting.amount for posting in postings)
    postings += [
        Posting(user_id=HOUSE, account="corrections", category="referral", amount=back + missing),
        Posting(user_id=HOUSE, account="lost", category="referral", amount=-missing),
    ]
    postings = [posting for posting in postings if posting.amount]
    if not postings:
        return None, after
    kind: Kind = "release" if decision == "released" else "clawback"
    memo = {"lost": {str(user_id): str(amount) for user_id, amount in lost.items() if amount}}
    return (
        Entry(key=key, kind=kind, epoch=epoch, at=at, postings=postings, memo=memo if missing else {}),
        after,
    )


def _taken(user_id: UUID, amount: int, funds: Iterable[Fund]) -> list[Posting]:
    """So much from `funds`, which have that."""
    found = []
    for fund in funds:
        part = min(amount, fund.amount)
        amount -= part
        found.append(
            Posting(
                user_id=user_id,
                account=fund.account,
                category="referral",
                amount=-part,
                matures_at=fund.matures_at,
            )
        )
    return found

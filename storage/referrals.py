"""What referrals are computed by: how codes compare, and the arithmetic of commissions.

A commission is what an ancestor gets of what somebody earned by work, in whole micro-points::

    wanted = floor(earned · share(level) · multiplier(tier of the ancestor) / 10,000²)
    amount = wanted                              if all that is wanted comes to the pool at most
             floor(wanted · pool / Σ wanted)     otherwise

Nothing is paid for commissions themselves: `earned` is what availability and usage brought.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

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
        wanted = [_scaled(each, pool, total) for each in wanted]
    return [each for each in wanted if each.amount]


def _scaled(each: Commission, pool: int, total: int) -> Commission:
    return Commission(
        user_id=each.user_id,
        referee_id=each.referee_id,
        level=each.level,
        amount=each.amount * pool // total,
        held=each.held,
    )


def decision_entry(
    key: str,
    decision: ReferralDecision,
    epoch: int,
    at: datetime,
    paid: Mapping[UUID, tuple[int, int]],
) -> Entry | None:
    """What a decision moves: `paid` is what each ancestor has of it, and what of that is held.

    released: what is held becomes final. refused: all of it goes back to the house. None when nothing moves.
    """
    postings = []
    back = 0
    for user_id, (amount, held) in paid.items():
        to_final = held if decision == "released" else held - amount
        back += 0 if decision == "released" else amount
        moves: tuple[tuple[UserAccount, int], ...] = (("held", -held), ("final", to_final))
        for account, moved in moves:
            if moved:
                postings.append(Posting(user_id=user_id, account=account, category="referral", amount=moved))
    if back:
        postings.append(Posting(user_id=HOUSE, account="corrections", category="referral", amount=back))
    if not postings:
        return None
    kind: Kind = "release" if decision == "released" else "clawback"
    return Entry(key=key, kind=kind, epoch=epoch, at=at, postings=postings)

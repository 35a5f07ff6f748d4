"""Rewards on their way to their owner: what can be claimed, and claiming it."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from core.clock import Clock, new_id
from core.errors import Conflict
from services.explain import BookedAmount
from services.states import states_of
from storage.base import Balances, Category, Entry, EpochStore, LedgerStore, Posting, UserStore

# Whoever claims at the same moment takes at most everything once; then there is nothing left to fight for.
_ATTEMPTS = 3


class Rewards(Struct, frozen=True, kw_only=True):
    """A person's rewards by state, in micro-points; all of them come to `balance`.

    `minimum_payout` is what has to be final before it becomes claimable. `wallet` is where a claim goes to.
    """

    balance: str
    pending: str
    held: str
    final: str
    claimable: str
    claimed: str
    minimum_payout: str
    wallet: str | None


class Claim(Struct, frozen=True, kw_only=True):
    """What was claimed, for the wallet that was linked then; `amount` (micro-points) by all `categories`."""

    claim_id: UUID
    claimed_at: datetime
    wallet: str
    amount: str
    categories: list[BookedAmount]


class Claims:
    """Shows rewards, and takes claims."""

    def __init__(self, *, ledger: LedgerStore, epochs: EpochStore, users: UserStore, clock: Clock) -> None:
        self._ledger = ledger
        self._epochs = epochs
        self._users = users
        self._clock = clock

    async def rewards(self, user_id: UUID) -> Rewards:
        """What somebody has in which state."""
        user = await self._users.by_id(user_id)
        balances = (await self._ledger.balances([user_id])).get(user_id, Balances())
        terms = await self._epochs.terms()
        return Rewards(
            **states_of(balances),
            minimum_payout=str(terms[-1].terms.minimum_payout if terms else 0),
            wallet=user.wallet if user else None,
        )

    async def claim(self, user_id: UUID) -> Claim:
        """Claim all that is claimable.

        Of concurrent calls one gets it all.

        Raises:
            Conflict: "wallet_missing" or "nothing_to_claim".
        """
        user = await self._users.by_id(user_id)
        if user is None or user.wallet is None:
            raise Conflict("wallet_missing", "Link a wallet first: that is where a claim goes to.")
        epoch = await self._epochs.open()
        for _ in range(_ATTEMPTS):
            amounts = await self._ledger.amounts(user_id, "claimable")
            if epoch is None or not amounts:
                break
            claim = Claim(
                claim_id=new_id(),
                claimed_at=self._clock.now(),
                wallet=user.wallet,
                amount=str(sum(amounts.values())),
                categories=[
                    BookedAmount(category=category, amount=str(amount))
                    for category, amount in amounts.items()
                ],
            )
            entry = Entry(
                key=f"claim:{claim.claim_id}",
                kind="claim",
                epoch=epoch.number,
                at=epoch.starts_at,
                postings=[
                    posting
                    for category, amount in amounts.items()
                    for posting in _move(user_id, category, amount)
                ],
                memo={"wallet": user.wallet, "claimed_at": claim.claimed_at.isoformat()},
            )
            try:
                await self._ledger.book([entry])
            except Conflict as refusal:
                if refusal.code != "overdrawn":
                    raise
            else:
                return claim
        raise Conflict("nothing_to_claim", "There is nothing to claim now.")


def _move(user_id: UUID, category: Category, amount: int) -> list[Posting]:
    return [
        Posting(user_id=user_id, account="claimable", category=category, amount=-amount),
        Posting(user_id=user_id, account="claimed", category=category, amount=amount),
    ]

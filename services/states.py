"""A person's balances as every screen shows them: made here alone, so that no two can differ."""

from storage.base import Balances


def states_of(balances: Balances) -> dict[str, str]:
    """`balance`, which is all of it, and what is in each state: micro-points as texts."""
    return {
        "balance": str(balances.earned),
        "pending": str(balances.pending),
        "held": str(balances.held),
        "final": str(balances.final),
        "claimable": str(balances.claimable),
        "claimed": str(balances.claimed),
    }

"""Referrals: codes, who brought whom, what speaks against it, and what it earns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

Level = Literal[1, 2, 3]
# What people are recognised by. Two accounts with the same mailbox (whatever its tags), wallet, node key
# or device are one person's; address and subnet say less. `disposable` is the mail domain of one that is.
TraitKind = Literal["mailbox", "wallet", "node_key", "device", "address", "subnet", "disposable"]
FlagKind = TraitKind | Literal["burst"]
# refused: it never counts. review: what it earns is held until the staff decides.
ReferralState = Literal["good", "review", "refused"]
ReferralDecision = Literal["released", "refused"]


class ReferralCode(Struct, frozen=True, kw_only=True):
    """A code of somebody's. `code` is what look-ups compare, `shown` how it is written.

    `clicks` counts those who looked it up, `signups` those who asked for an account with it.
    """

    code: str
    user_id: UUID
    shown: str
    alias: bool
    created_at: datetime
    clicks: int = 0
    signups: int = 0


class Trait(Struct, frozen=True):
    """Something that somebody is recognised by."""

    kind: TraitKind
    value: str


class Burst(Struct, frozen=True, kw_only=True):
    """So many people brought by one person within `seconds` want a look."""

    people: int = 20
    seconds: int = 3600


USUAL_BURST = Burst()


class Referral(Struct, frozen=True, kw_only=True):
    """That somebody was brought, and by whom; `parent_id` has the code, the others brought one another.

    `active_at`: since when they do enough for it to count. `decision` is the staff's last one.
    """

    user_id: UUID
    referral_id: UUID
    parent_id: UUID
    second_id: UUID | None
    third_id: UUID | None
    code: str
    joined_at: datetime
    active_at: datetime | None
    state: ReferralState
    decision: ReferralDecision | None
    decided_at: datetime | None
    decided_by: UUID | None
    note: str


class ReferralFlag(Struct, frozen=True, kw_only=True):
    """What speaks against a referral: `value` is shared with the ancestor `other_id`.

    Of a disposable mail domain it is the domain, of a burst how many were brought; `other_id` is the parent.
    """

    user_id: UUID
    kind: FlagKind
    other_id: UUID
    value: str
    raised_at: datetime
    released: bool


class LevelCount(Struct, frozen=True, kw_only=True):
    """How many somebody brought, at a level; `active` are good and active.

    `earned` is what that brought and was not taken back, of which `held` waits for the staff and `pending`
    is not final yet; `reversed` was taken back.
    """

    level: Level
    people: int
    active: int
    review: int
    refused: int
    earned: int
    held: int
    pending: int
    reversed: int


class Referee(Struct, frozen=True, kw_only=True):
    """Somebody who was brought, as those see them who get something for it.

    `earned` is what they brought and was not taken back, of which `held` waits for the staff and `pending`
    is not final yet; `reversed` was taken back.
    """

    referral_id: UUID
    level: Level
    joined_at: datetime
    active_at: datetime | None
    state: ReferralState
    earned: int
    held: int
    pending: int
    reversed: int


class Tier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `active` people brought who are active, commissions are `multiplier` 10,000ths of the shares."""

    active: int
    multiplier: int


class ReferralTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The numbers of commissions; `storage.referrals` has the arithmetic.

    `shares` are 10,000ths of what work earned, by level. Somebody counts once they have `active_seconds`
    confirmed. `tiers` have rising thresholds; below the first the multiplier is 10,000.
    """

    shares: tuple[int, int, int] = (2000, 1000, 500)
    active_seconds: int = 100 * 3600
    tiers: tuple[Tier, ...] = ()


class Commission(Struct, frozen=True, kw_only=True):
    """What `user_id` gets of what `referee_id` earned by work; `held` while their referral is in review."""

    user_id: UUID
    referee_id: UUID
    level: Level
    amount: int
    held: bool


class ReferralStore(Protocol):
    """Codes, referrals and their flags.

    A referral comes to be with the account (`ConfirmationStore.register`), never later, and its ancestors
    never change: there is no cycle. Whoever has children gets no parent. What other stores are told is
    remembered by itself: node keys that are enrolled, wallets that are linked, mailboxes. It stays known
    when it changes hands, until the account is erased, and flags the referral whose two ends share it at
    once, whoever had it first. With an account its codes and traits are erased; its referral stays.
    """

    async def add_code(self, code: ReferralCode, most: int) -> Literal["added", "taken", "most"]:
        """Add a code unless somebody has it, or its owner has `most` of this sort (alias or not).

        Of concurrent calls for one code exactly one adds it.
        """
        ...

    async def code(self, code: str) -> ReferralCode | None:
        """The code, by what look-ups compare."""
        ...

    async def codes(self, user_id: UUID) -> list[ReferralCode]:
        """Somebody's codes, the oldest first."""
        ...

    async def count(self, code: str, what: Literal["clicks", "signups"]) -> None:
        """Count one more."""
        ...

    async def saw(self, user_id: UUID, traits: Sequence[Trait], at: datetime) -> None:
        """Remember traits of somebody; nothing if the account is gone.

        Devices that both ends of a referral have flag it, as mailboxes, wallets and keys do. Addresses
        and subnets count when somebody joins only.
        """
        ...

    async def referral(self, user_id: UUID) -> Referral | None:
        """How somebody came."""
        ...

    async def by_id(self, referral_id: UUID) -> Referral | None:
        """A referral."""
        ...

    async def referees(self, user_id: UUID, level: Level, before: UUID | None, limit: int) -> list[Referee]:
        """Whom somebody brought, at a level: the newest first, those with ids below `before`."""
        ...

    async def rewarded(
        self, user_id: UUID, level: Level | None, before: UUID | None, limit: int
    ) -> list[Referee]:
        """Those who brought somebody anything, of a level or of all: the newest first, ids below `before`."""
        ...

    async def counts(self, user_id: UUID) -> list[LevelCount]:
        """How many somebody brought, of each of the three levels."""
        ...

    async def activate(self, at: datetime, seconds: int) -> int:
        """Let those be active who have so many confirmed seconds on all their nodes.

        Returns how many are new.
        """
        ...

    async def reviews(self, state: ReferralState, before: UUID | None, limit: int) -> list[Referral]:
        """Flagged or decided referrals in a state, the newest first, with ids below `before`."""
        ...

    async def flags(self, user_ids: Sequence[UUID]) -> list[ReferralFlag]:
        """What speaks against these people's referrals, also what was released; the oldest first."""
        ...

    async def decide(
        self,
        user_id: UUID,
        decision: ReferralDecision,
        at: datetime,
        actor_id: UUID,
        note: str,
        *,
        subtree: bool,
    ) -> list[UUID]:
        """Decide about somebody's referral, with `subtree` also of all whom they brought, at any depth.

        released: the flags there are do not count any more, later ones do; what is held for it becomes
        final. refused: it does not count, until it is released; what was ever paid for it is taken back:
        what is held, then from what the ancestor has of commissions that is final, claimable or pending. What
        was claimed already is lost: it stays with them, and the house's account `lost` shows it. That is
        booked in the epoch that is open, with the decision. Returns whose referrals these are; empty if
        there is none.
        """
        ...

    async def commissions(
        self, earned: Mapping[UUID, int], pool: int, terms: ReferralTerms
    ) -> list[Commission]:
        """What ancestors get of what people `earned` by work, by referee and level.

        Refused referrals, people who are not active, erased ancestors and amounts that come to 0 have
        none. What all come to is `pool` at most: more is scaled down pro rata.
        """
        ...

    async def prune(self, seen_before: datetime) -> int:
        """Forget addresses, subnets and devices seen last before that; returns how many."""
        ...

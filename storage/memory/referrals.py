"""Referrals: codes, who brought whom, and what speaks against it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from core.clock import new_id
from storage.base import (
    Burst,
    Commission,
    FlagKind,
    Level,
    LevelCount,
    Referee,
    Referral,
    ReferralCode,
    ReferralDecision,
    ReferralFlag,
    ReferralState,
    ReferralTerms,
    Trait,
)
from storage.base.ledger import UserAccount
from storage.memory.database import MemoryDatabase, ReferralSum, require_storable
from storage.memory.ledger import book
from storage.referrals import HARD, LEVELS, PASSING, Fund, Paid, above, commissions_of, mailbox, settle


class MemoryReferrals:
    """`ReferralStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add_code(self, code: ReferralCode, most: int) -> Literal["added", "taken", "most"]:
        require_storable(code)
        self._db.require_user(code.user_id)
        if sum(each.alias == code.alias for each in await self.codes(code.user_id)) >= most:
            return "most"
        if code.code in self._db.referral_codes:
            return "taken"
        self._db.referral_codes[code.code] = code
        return "added"

    async def code(self, code: str) -> ReferralCode | None:
        require_storable(code)
        return self._db.referral_codes.get(code)

    async def codes(self, user_id: UUID) -> list[ReferralCode]:
        mine = [code for code in self._db.referral_codes.values() if code.user_id == user_id]
        return sorted(mine, key=lambda code: (code.created_at, code.code))

    async def count(self, code: str, what: Literal["clicks", "signups"]) -> None:
        require_storable(code)
        found = self._db.referral_codes.get(code)
        if found is not None:
            self._db.referral_codes[code] = replace(found, **{what: getattr(found, what) + 1})

    async def saw(self, user_id: UUID, traits: Sequence[Trait], at: datetime) -> None:
        require_storable(*traits)
        if user_id in self._db.users:
            see(self._db, user_id, traits, at)

    async def referral(self, user_id: UUID) -> Referral | None:
        found = self._db.referrals.get(user_id)
        return None if found is None else _now(self._db, found)

    async def by_id(self, referral_id: UUID) -> Referral | None:
        return next((each for each in self._all() if each.referral_id == referral_id), None)

    async def referees(self, user_id: UUID, level: Level, before: UUID | None, limit: int) -> list[Referee]:
        found = [
            self._referee(each, self._db.referral_sums.get((user_id, each.user_id), ReferralSum(level=level)))
            for each in self._all()
            if (level, user_id) in above(each) and (before is None or each.referral_id < before)
        ]
        return sorted(found, key=lambda each: each.referral_id, reverse=True)[:limit]

    async def rewarded(
        self, user_id: UUID, level: Level | None, before: UUID | None, limit: int
    ) -> list[Referee]:
        found = [
            self._referee(each, sums)
            for each in self._all()
            if (sums := self._db.referral_sums.get((user_id, each.user_id))) is not None
            and level in {None, sums.level}
            and (before is None or each.referral_id < before)
        ]
        return sorted(found, key=lambda each: each.referral_id, reverse=True)[:limit]

    async def counts(self, user_id: UUID) -> list[LevelCount]:
        known = self._all()
        counts = []
        for level in LEVELS:
            mine = [each for each in known if (level, user_id) in above(each)]
            counts.append(
                LevelCount(
                    level=level,
                    people=len(mine),
                    active=sum(each.active_at is not None and each.state == "good" for each in mine),
                    review=sum(each.state == "review" for each in mine),
                    refused=sum(each.state == "refused" for each in mine),
                    earned=sum(each.amount - each.taken for each in self._sums(user_id, level)),
                    held=sum(each.held for each in self._sums(user_id, level)),
                    pending=sum(self._pending(each) for each in self._sums(user_id, level)),
                    reversed=sum(each.taken for each in self._sums(user_id, level)),
                )
            )
        return counts

    async def activate(self, at: datetime, seconds: int) -> int:
        sums: dict[UUID, int] = {}
        for state in (*self._db.states.values(), *self._db.former.values()):
            sums[state.user_id] = sums.get(state.user_id, 0) + state.confirmed_s
        new = [
            each
            for each in self._db.referrals.values()
            if each.active_at is None and sums.get(each.user_id, -1) >= seconds
        ]
        for each in new:
            self._db.referrals[each.user_id] = replace(each, active_at=at)
        return len(new)

    async def reviews(self, state: ReferralState, before: UUID | None, limit: int) -> list[Referral]:
        flagged = {flag.user_id for flag in self._db.referral_flags.values()}
        found = [
            each
            for each in self._all()
            if each.state == state
            and (before is None or each.referral_id < before)
            and (each.decision is not None or each.user_id in flagged)
        ]
        return sorted(found, key=lambda each: each.referral_id, reverse=True)[:limit]

    async def flags(self, user_ids: Sequence[UUID]) -> list[ReferralFlag]:
        wanted = set(user_ids)
        found = [flag for flag in self._db.referral_flags.values() if flag.user_id in wanted]
        return sorted(found, key=lambda flag: (flag.raised_at, flag.user_id, flag.kind, flag.other_id))

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
        require_storable(note)
        whose = {user_id} & self._db.referrals.keys()
        while subtree:
            below = {each.user_id for each in self._db.referrals.values() if each.parent_id in whose} - whose
            if not below:
                break
            whose |= below
        for each in whose:
            self._db.referrals[each] = replace(
                self._db.referrals[each], decision=decision, decided_at=at, decided_by=actor_id, note=note
            )
        for key, flag in self._db.referral_flags.items():
            if flag.user_id in whose and decision == "released":
                self._db.referral_flags[key] = replace(flag, released=True)
        self._settle(whose, decision)
        return sorted(whose)

    async def commissions(
        self, earned: Mapping[UUID, int], pool: int, terms: ReferralTerms
    ) -> list[Commission]:
        return commissions(self._db, earned, pool, terms)

    async def prune(self, seen_before: datetime) -> int:
        traits = self._db.traits
        old = [key for key, seen in traits.items() if key[1].kind in PASSING and seen < seen_before]
        for key in old:
            del traits[key]
        return len(old)

    def _all(self) -> list[Referral]:
        return everybody(self._db)

    def _referee(self, referral: Referral, sums: ReferralSum) -> Referee:
        return Referee(
            referral_id=referral.referral_id,
            level=sums.level,
            joined_at=referral.joined_at,
            active_at=referral.active_at,
            state=referral.state,
            earned=sums.amount - sums.taken,
            held=sums.held,
            pending=self._pending(sums),
            reversed=sums.taken,
        )

    def _pending(self, sums: ReferralSum) -> int:
        """What of it is not final."""
        epoch = self._db.open_epoch
        return sum(amount for at, amount in sums.due.items() if epoch is None or at > epoch.starts_at)

    def _sums(self, user_id: UUID, level: Level) -> list[ReferralSum]:
        found = self._db.referral_sums.items()
        return [each for (owner, _), each in found if owner == user_id and each.level == level]

    def _settle(self, whose: Collection[UUID], decision: ReferralDecision) -> None:
        """Book what a decision about these referrals moves."""
        epoch = self._db.open_epoch
        paid = [
            Paid(
                user_id=user_id,
                referee_id=referee_id,
                amount=each.amount,
                held=each.held,
                taken=each.taken,
                lost=each.lost,
            )
            for (user_id, referee_id), each in sorted(self._db.referral_sums.items())
            if referee_id in whose
        ]
        if not paid or epoch is None:
            return
        funds = {
            user_id: self._funds(user_id, epoch.starts_at) for user_id in {each.user_id for each in paid}
        }
        entry, after = settle(f"referral:{new_id()}", decision, epoch.number, epoch.starts_at, paid, funds)
        if entry is not None:
            book(self._db, [entry])
        for each in after:
            sums = self._db.referral_sums[each.user_id, each.referee_id]
            if each.taken + each.lost > sums.taken + sums.lost:
                sums.due.clear()
            sums.held, sums.taken, sums.lost = each.held, each.taken, each.lost

    def _funds(self, user_id: UUID, after: datetime) -> list[Fund]:
        """What somebody has of commissions: what is final first, what is pending as it matures, last."""
        found: list[Fund] = []
        accounts: tuple[UserAccount, ...] = ("final", "claimable")
        for account in accounts:
            amount = self._db.balances.get((user_id, account, "referral"), 0)
            found.append(Fund(account=account, matures_at=None, amount=max(amount, 0)))
        pending: dict[datetime, int] = defaultdict(int)
        for entry in self._db.entries:
            for each in entry.postings:
                if (each.user_id, each.account, each.category) == (user_id, "pending", "referral"):
                    pending[each.matures_at or after] += each.amount
        found += [
            Fund(account="pending", matures_at=matures_at, amount=amount)
            for matures_at, amount in sorted(pending.items())
            if matures_at > after
        ]
        return found


def everybody(db: MemoryDatabase) -> list[Referral]:
    """All referrals, in the state that flags and decisions make."""
    return [_now(db, each) for each in db.referrals.values()]


def commissions(
    db: MemoryDatabase, earned: Mapping[UUID, int], pool: int | None, terms: ReferralTerms
) -> list[Commission]:
    """What ancestors get of what people earned; `pool` None: what they would without a limit."""
    return commissions_of(earned, everybody(db), db.users.keys(), pool, terms)


def keep_sums(db: MemoryDatabase, paid: Iterable[Commission], matures_at: datetime) -> None:
    """Remember for whom commissions were paid, of which those that are not held become final then."""
    for each in paid:
        key = each.user_id, each.referee_id
        sums = db.referral_sums.setdefault(key, ReferralSum(level=each.level))
        sums.amount += each.amount
        sums.held += each.amount if each.held else 0
        if not each.held:
            sums.due[matures_at] = sums.due.get(matures_at, 0) + each.amount


def _now(db: MemoryDatabase, referral: Referral) -> Referral:
    kinds = {
        flag.kind
        for flag in db.referral_flags.values()
        if flag.user_id == referral.user_id and not flag.released
    }
    refused = referral.decision == "refused" or kinds & HARD
    return replace(referral, state="refused" if refused else "review" if kinds else "good")


def see(db: MemoryDatabase, user_id: UUID, traits: Iterable[Trait], at: datetime) -> None:
    """Remember traits of somebody, and flag what they share with who brought them or whom they brought."""
    for trait in sorted(set(traits), key=lambda trait: (trait.kind, trait.value)):
        known = db.traits.get((user_id, trait))
        db.traits[user_id, trait] = max(at, known) if known else at
        if known is not None or trait.kind not in HARD:
            continue
        for other_id in [owner for owner, theirs in db.traits if theirs == trait and owner != user_id]:
            for lower, upper in ((user_id, other_id), (other_id, user_id)):
                referral = db.referrals.get(lower)
                if referral is not None and upper in {ancestor for _, ancestor in above(referral)}:
                    _flag(db, lower, trait.kind, upper, trait.value, at)


def see_mailbox(db: MemoryDatabase, user_id: UUID, email: str) -> None:
    """Remember the mailbox of somebody's address."""
    see(db, user_id, [Trait("mailbox", mailbox(email))], db.clock.now())


def join(  # noqa: PLR0917  # what its caller has at hand
    db: MemoryDatabase, user_id: UUID, code: str | None, traits: Sequence[Trait], at: datetime, burst: Burst
) -> None:
    """Give an account that was made just now its parent and its traits, and look at them."""
    found = None if code is None else db.referral_codes.get(code)
    if found is not None:
        parent = db.referrals.get(found.user_id)
        db.referrals[user_id] = Referral(
            user_id=user_id,
            referral_id=new_id(),
            parent_id=found.user_id,
            second_id=parent.parent_id if parent else None,
            third_id=parent.second_id if parent else None,
            code=found.code,
            joined_at=at,
            active_at=None,
            state="good",
            decision=None,
            decided_at=None,
            decided_by=None,
            note="",
        )
    see(db, user_id, traits, at)
    if found is not None:
        _judge_joining(db, db.referrals[user_id], at, burst)


def _judge_joining(db: MemoryDatabase, referral: Referral, at: datetime, burst: Burst) -> None:
    mine = sorted(
        (trait for owner, trait in db.traits if owner == referral.user_id), key=lambda trait: trait.value
    )
    for trait in mine:
        if trait.kind == "disposable":
            _flag(db, referral.user_id, trait.kind, referral.parent_id, trait.value, at)
            continue
        for _, ancestor in above(referral):
            if (ancestor, trait) in db.traits:
                _flag(db, referral.user_id, trait.kind, ancestor, trait.value, at)
    since = referral.joined_at - timedelta(seconds=burst.seconds)
    recent = [
        each
        for each in db.referrals.values()
        if each.parent_id == referral.parent_id and each.joined_at > since
    ]
    if len(recent) >= burst.people:
        for each in recent:
            _flag(db, each.user_id, "burst", each.parent_id, str(len(recent)), at)


def _flag(  # noqa: PLR0917  # what its caller has at hand
    db: MemoryDatabase, user_id: UUID, kind: FlagKind, other_id: UUID, value: str, at: datetime
) -> None:
    db.referral_flags.setdefault(
        (user_id, kind, other_id),
        ReferralFlag(
            user_id=user_id, kind=kind, other_id=other_id, value=value, raised_at=at, released=False
        ),
    )


def forget(db: MemoryDatabase, user_id: UUID) -> None:
    """Forget an erased account's codes and traits; who brought whom stays."""
    for code in [code for code in db.referral_codes.values() if code.user_id == user_id]:
        del db.referral_codes[code.code]
    for owned in [owned for owned in db.traits if owned[0] == user_id]:
        del db.traits[owned]
    for key, flag in db.referral_flags.items():
        if user_id in {flag.user_id, flag.other_id} and flag.kind != "burst":
            db.referral_flags[key] = replace(flag, value="")

"""Referrals: codes, who was brought, how far that is, and what the staff decides where it looks odd."""

import re
import secrets
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct

from core.address import parse, subscriber
from core.clock import Clock
from core.errors import Conflict, InvalidInput, NotFound, TooManyRequests
from services.audit import Audit, Kind
from services.disposable import DisposableDomains
from services.places import public_subnet
from services.tokens import Principal
from storage.base import (
    Burst,
    Level,
    LevelCount,
    Limit,
    Referee,
    Referral,
    ReferralCode,
    ReferralDecision,
    ReferralFlag,
    ReferralState,
    ReferralStore,
    ReferralTerms,
    Throttle,
    Tier,
    Trait,
)
from storage.referrals import ALPHABET, next_tier, normal_code, tier_of

CODES_MOST = 5
ALIASES_MOST = 3
NOTE_LENGTH = 500
#: Codes looked up from one network address: 20 at once, one a minute after that.
LOOKS: Final = Limit(20, 60_000)
ONCE_A_DAY: Final = Limit(1, 86_400_000)
# 50 bits: whoever guesses at the rate of the limit finds nobody's.
RANDOM_LENGTH = 10

_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_ALIAS = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_-]{2,22}[A-Za-z0-9]\Z")
_ALIAS_LEAST = 4
_DEVICE = re.compile(r"[A-Za-z0-9_-]{16,64}\Z")
_WORDS = (
    "admin administrator api contact help info mail moderator null official operator payout pulseboard "
    "referral reward root security staff support system team test undefined wallet"
)
_RESERVED = frozenset(normal_code(word) for word in _WORDS.split())


class Standing(Struct, frozen=True, kw_only=True):
    """How somebody's referrals stand. `tier` is the one they have reached, `next_tier` the one ahead."""

    codes: list[ReferralCode]
    levels: list[LevelCount]
    shares: Sequence[int]
    active: int
    tier: Tier | None
    next_tier: Tier | None
    active_seconds: int
    joined_by: str | None


class Reviewed(Struct, frozen=True):
    """A referral and what speaks against it, for the staff."""

    referral: Referral
    flags: list[ReferralFlag]


class Referrals:
    """Codes and referrals, as people, strangers with a code, and the staff use them."""

    def __init__(
        self,
        *,
        store: ReferralStore,
        throttle: Throttle,
        disposable: DisposableDomains,
        audit: Audit,
        clock: Clock,
        terms: ReferralTerms,
        burst: Burst,
    ) -> None:
        """`burst` is how many brought by one person, in what time, want a look."""
        self._store = store
        self._throttle = throttle
        self._disposable = disposable
        self._audit = audit
        self._clock = clock
        self._terms = terms
        self.burst = burst

    # --- codes ----------------------------------------------------------------------------------

    async def make_code(self, user_id: UUID, alias: str | None) -> ReferralCode:
        """Make a code for somebody: a random one, or `alias`.

        Raises:
            InvalidInput: "invalid_input", field "alias".
            Conflict: "referral_code_taken", or "referral_codes_most" when they have enough of this sort.
        """
        shown = _random() if alias is None else alias
        key = normal_code(shown)
        if alias is not None:
            if not _ALIAS.match(alias) or len(key) < _ALIAS_LEAST:
                raise InvalidInput(
                    "invalid_input",
                    "alias: must have 4 to 24 letters and digits, a letter among them, hyphens between.",
                    field="alias",
                )
            if key in _RESERVED:
                raise _taken()
        code = ReferralCode(
            code=key,
            user_id=user_id,
            shown=shown,
            alias=alias is not None,
            created_at=self._clock.now(),
        )
        outcome = await self._store.add_code(code, CODES_MOST if alias is None else ALIASES_MOST)
        if outcome == "most":
            raise Conflict("referral_codes_most", "You have as many codes of this sort as there may be.")
        if outcome == "taken":
            raise _taken()
        await self._audit.note(Kind.REFERRAL_CODE_MADE, user_id=user_id, code=shown)
        return code

    async def look_up(self, text: str, address: str) -> ReferralCode:
        """The code that somebody followed; the first look from an address in a day is counted as a click.

        Raises:
            TooManyRequests: "too_many_attempts".
            NotFound: "referral_code_not_found".
        """
        unit = subscriber(address)
        await self._count_look(unit)
        code = await self._find(text)
        if code is None:
            raise NotFound("referral_code_not_found", "There is no such referral code.")
        if (await self._throttle.hit(f"once:click:{code.code}:{unit}", ONCE_A_DAY)).allowed:
            await self._store.count(code.code, "clicks")
        return code

    # --- joining --------------------------------------------------------------------------------

    async def asked_for(self, text: str) -> str:
        """The code that somebody gives who wants to join, in the form that is stored.

        Raises:
            InvalidInput: "invalid_input", field "referral_code": there is none.
        """
        code = await self._find(text)
        if code is None:
            raise InvalidInput(
                "invalid_input", "referral_code: there is no such code.", field="referral_code"
            )
        return code.code

    async def signed_up(self, code: str) -> None:
        """Count that somebody asked for an account with `code`, whether that comes to be or not."""
        await self._store.count(code, "signups")

    def traits(
        self, *, email: str | None = None, address: str = "", browser: str | None = None
    ) -> list[Trait]:
        """What somebody can be recognised by: an address they use, where they come from, their browser."""
        found = []
        if email is not None and (domain := self._disposable.domain_of(email)):
            found.append(Trait("disposable", domain))
        if (parsed := parse(address)) is not None and (subnet := public_subnet(parsed)):
            found += [Trait("address", str(parsed)), Trait("subnet", subnet)]
        if browser is not None and _DEVICE.match(browser):
            found.append(Trait("device", browser))
        return found

    async def seen(self, user_id: UUID, address: str, browser: str | None) -> None:
        """Somebody signed in, from there and with this browser."""
        if traits := self.traits(address=address, browser=browser):
            await self._store.saw(user_id, traits, self._clock.now())

    # --- what one has of it ---------------------------------------------------------------------

    async def standing(self, user_id: UUID) -> Standing:
        """How somebody's referrals stand."""
        levels = await self._store.counts(user_id)
        own = await self._store.referral(user_id)
        active = levels[0].active
        return Standing(
            codes=await self._store.codes(user_id),
            levels=levels,
            shares=self._terms.shares,
            active=active,
            tier=tier_of(active, self._terms.tiers),
            next_tier=next_tier(active, self._terms.tiers),
            active_seconds=self._terms.active_seconds,
            joined_by=own.code if own else None,
        )

    async def referees(self, user_id: UUID, level: Level, before: UUID | None, limit: int) -> list[Referee]:
        """Whom somebody brought at a level, the newest first."""
        return await self._store.referees(user_id, level, before, limit)

    async def rewards(
        self, user_id: UUID, level: Level | None, before: UUID | None, limit: int
    ) -> list[Referee]:
        """Those who brought somebody anything, at a level or at all of them, the newest first."""
        return await self._store.rewarded(user_id, level, before, limit)

    # --- the staff ------------------------------------------------------------------------------

    async def reviews(
        self, actor: Principal, state: ReferralState, before: UUID | None, limit: int
    ) -> list[Reviewed]:
        """Referrals that were flagged or decided about, in a state, the newest first; that is noted."""
        found = await self._store.reviews(state, before, limit)
        flags: dict[UUID, list[ReferralFlag]] = {}
        for flag in await self._store.flags([referral.user_id for referral in found]):
            flags.setdefault(flag.user_id, []).append(flag)
        if before is None:
            await self._audit.note(Kind.REFERRALS_VIEWED, actor_id=actor.user_id, state=state)
        return [Reviewed(referral, flags.get(referral.user_id, [])) for referral in found]

    async def decide(
        self,
        actor: Principal,
        referral_id: UUID,
        decision: ReferralDecision,
        note: str,
        *,
        subtree: bool,
    ) -> int:
        """Release or refuse a referral, with `subtree` also all that hang on it; returns how many.

        Raises:
            InvalidInput: "invalid_input", field "note".
            NotFound: "referral_not_found".
        """
        cleaned = note.strip()
        if not cleaned or len(cleaned) > NOTE_LENGTH or "\0" in cleaned:
            raise InvalidInput(
                "invalid_input", f"note: must have 1 to {NOTE_LENGTH} characters.", field="note"
            )
        referral = await self._store.by_id(referral_id)
        if referral is None:
            raise NotFound("referral_not_found", "There is no referral with this id.")
        now = self._clock.now()
        decided = await self._store.decide(
            referral.user_id, decision, now, actor.user_id, cleaned, subtree=subtree
        )
        await self._audit.note(
            Kind.REFERRAL_DECIDED,
            user_id=referral.user_id,
            actor_id=actor.user_id,
            referral=str(referral_id),
            decision=decision,
            note=cleaned,
            subtree=subtree,
            referrals=len(decided),
        )
        return len(decided)

    async def _count_look(self, unit: str) -> None:
        verdict = await self._throttle.hit(f"ask:code:{unit}", LOOKS)
        if not verdict.allowed:
            raise TooManyRequests(
                "too_many_attempts",
                "Too many codes were tried from here. Wait a while.",
                retry_after=max(1, -(-verdict.retry_ms // 1000)),
            )

    async def _find(self, text: str) -> ReferralCode | None:
        return await self._store.code(normal_code(text)) if _CODE.match(text) else None


def _random() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"{letters[:5]}-{letters[5:]}"


def _taken() -> Conflict:
    return Conflict("referral_code_taken", "Somebody else has this code.")

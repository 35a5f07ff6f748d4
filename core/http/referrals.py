"""Referrals: codes, whom one brought, and the staff's look at those that are flagged."""

from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from services.audit import CONTEXT
from services.referrals import Referrals, Reviewed
from services.tokens import Principal
from storage.base import (
    FlagKind,
    Level,
    LevelCount,
    Referee,
    ReferralCode,
    ReferralDecision,
    ReferralState,
    Tier,
)

LevelOf = Annotated[int, QueryParameter(ge=1, le=3, description="1: brought by oneself; 2 and 3: by those.")]
AnyLevel = Annotated[int | None, QueryParameter(ge=1, le=3, description="Only of this level.")]
StateOf = Annotated[
    ReferralState,
    QueryParameter(name="state", description="`review`: flagged and held, `refused`, or `good` after all."),
]


class CodeView(Struct):
    """A code, as it is written; case, hyphens, O for 0, I and L for 1 make no difference.

    `clicks` counts those who followed it (once a day from an address), `signups` those who asked for an
    account with it.
    """

    code: str
    alias: bool
    created_at: datetime
    clicks: int
    signups: int


class LevelView(Struct):
    """How many were brought at a level, and the share of what their work earns, in 10,000ths.

    `active` are those that count: neither in `review` nor `refused`, and active. `earned` is what they
    brought (micro-points), and the sum of the three after it: `pending` is not final yet, `held` waits for a
    review. `reversed` was taken back.
    """

    level: int
    share: int
    people: int
    active: int
    review: int
    refused: int
    earned: str
    pending: str
    released: str
    held: str
    reversed: str


class TierView(Struct):
    """From `active` active people of level 1 on, shares are multiplied by `multiplier` 10,000ths."""

    active: int
    multiplier: int


class ReferralSummary(Struct):
    """All of one's referrals. Somebody is active with `active_hours` confirmed hours.

    `tier` is the one that was reached, null before the first; `missing` active people lead to
    `next_tier`, null in the last. `joined_by` is the code that brought oneself.
    """

    codes: list[CodeView]
    levels: list[LevelView]
    active_hours: int
    tier: TierView | None
    next_tier: TierView | None
    missing: int | None
    joined_by: str | None


class NewCode(Struct, forbid_unknown_fields=True):
    """Without `alias` a random code is made; else 4 to 24 letters and digits, hyphens between."""

    alias: str | None = None


class KnownCode(Struct):
    """A code that there is."""

    code: str


class RefereeView(Struct):
    """Somebody who was brought, under an id that stands for them here alone.

    `earned` is what they brought (micro-points), and the sum of the three after it: `pending` is not final
    yet, `held` waits for a review. `reversed` was taken back.
    """

    referral_id: UUID
    level: int
    joined_at: datetime
    active_at: datetime | None
    state: ReferralState
    earned: str
    pending: str
    released: str
    held: str
    reversed: str


class RefereePage(Struct):
    """A page of those who were brought, the newest first; `next_cursor` is null on the last."""

    items: list[RefereeView]
    next_cursor: str | None


class EvidenceView(Struct):
    """What speaks against a referral: the `value` that is shared with `other_id`, who is above.

    Of `disposable` it is the mail domain, of `burst` how many came at once. `released`: does not count.
    """

    kind: FlagKind
    other_id: UUID
    value: str
    raised_at: datetime
    released: bool


class ReviewView(Struct):
    """A referral as the staff sees it."""

    referral_id: UUID
    user_id: UUID
    parent_id: UUID
    second_id: UUID | None
    third_id: UUID | None
    code: str
    joined_at: datetime
    active_at: datetime | None
    state: ReferralState
    evidence: list[EvidenceView]
    decision: ReferralDecision | None
    decided_at: datetime | None
    decided_by: UUID | None
    note: str


class ReviewPage(Struct):
    """A page of referrals, the newest first; `next_cursor` is null on the last."""

    items: list[ReviewView]
    next_cursor: str | None


class DecisionRequest(Struct, forbid_unknown_fields=True):
    """What becomes of a referral, and why (1 to 500 characters).

    `released`: what speaks against it now counts no more. `refused`: it earns nothing, until it is
    released. With `subtree` it holds for all whom they brought too, at any depth.
    """

    decision: ReferralDecision
    note: str
    subtree: bool = False


class Decided(Struct):
    """How many referrals it was decided about."""

    referrals: int


@get("/referrals", opt=may("user"), responses=fails())
async def view_referrals(
    principal: NamedDependency[Principal], referrals: NamedDependency[Referrals]
) -> ReferralSummary:
    """One's codes, how many came, and how far the next tier is."""
    standing = await referrals.standing(principal.user_id)
    return ReferralSummary(
        codes=[_code(code) for code in standing.codes],
        levels=[
            LevelView(
                each.level,
                standing.shares[each.level - 1],
                each.people,
                each.active,
                each.review,
                each.refused,
                **_amounts(each),
            )
            for each in standing.levels
        ],
        active_hours=standing.active_seconds // 3600,
        tier=_tier(standing.tier),
        next_tier=_tier(standing.next_tier),
        missing=standing.next_tier.active - standing.active if standing.next_tier else None,
        joined_by=standing.joined_by,
    )


@get("/referrals/people", opt=may("user"), responses=fails())
async def list_referees(
    principal: NamedDependency[Principal],
    referrals: NamedDependency[Referrals],
    level: LevelOf = 1,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> RefereePage:
    """Whom one brought: when they joined, and whether they are active."""
    found = await referrals.referees(principal.user_id, cast("Level", level), position(cursor), limit + 1)
    page, last = split(found, limit)
    return RefereePage([_referee(each) for each in page], cursor_of(last.referral_id) if last else None)


@get("/referrals/rewards", opt=may("user"), responses=fails())
async def list_rewards(
    principal: NamedDependency[Principal],
    referrals: NamedDependency[Referrals],
    level: AnyLevel = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> RefereePage:
    """What those whom one brought brought in, one by one: as far as there is anything."""
    wanted = cast("Level | None", level)
    found = await referrals.rewards(principal.user_id, wanted, position(cursor), limit + 1)
    page, last = split(found, limit)
    return RefereePage([_referee(each) for each in page], cursor_of(last.referral_id) if last else None)


@post(
    "/referrals/codes",
    status_code=201,
    opt=may("user", idempotent=True),
    responses=fails("referral_code_taken", "referral_codes_most"),
)
async def make_code(
    data: JSONBody[NewCode],
    principal: NamedDependency[Principal],
    referrals: NamedDependency[Referrals],
) -> CodeView:
    """Make a code: five random ones and three aliases at most."""
    return _code(await referrals.make_code(principal.user_id, data.alias))


@get(
    "/referrals/codes/{code:str}",
    opt=may("anyone"),
    responses=fails("referral_code_not_found", "too_many_attempts"),
)
async def look_up_code(code: FromPath[str], referrals: NamedDependency[Referrals]) -> KnownCode:
    """Whether there is this code, for whoever followed it; nothing is told of whose it is."""
    return KnownCode((await referrals.look_up(code, CONTEXT.get().address)).shown)


@get("/admin/referrals", opt=may("support"), responses=fails())
async def list_reviews(
    principal: NamedDependency[Principal],
    referrals: NamedDependency[Referrals],
    only: StateOf = "review",
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> ReviewPage:
    """Referrals that something speaks against, or that were decided about, with the evidence."""
    found = await referrals.reviews(principal, only, position(cursor), limit + 1)
    page, last = split(found, limit)
    return ReviewPage(
        [_review(each) for each in page], cursor_of(last.referral.referral_id) if last else None
    )


@post(
    "/admin/referrals/{referral_id:uuid}/decision",
    status_code=200,
    opt=may("operator"),
    responses=fails("referral_not_found"),
)
async def decide_referral(
    referral_id: FromPath[UUID],
    data: JSONBody[DecisionRequest],
    principal: NamedDependency[Principal],
    referrals: NamedDependency[Referrals],
) -> Decided:
    """Release a referral, or refuse it, alone or with all that hang on it."""
    return Decided(
        await referrals.decide(principal, referral_id, data.decision, data.note, subtree=data.subtree)
    )


def _code(code: ReferralCode) -> CodeView:
    return CodeView(code.shown, code.alias, code.created_at, code.clicks, code.signups)


def _tier(tier: Tier | None) -> TierView | None:
    return None if tier is None else TierView(tier.active, tier.multiplier)


def _referee(referee: Referee) -> RefereeView:
    return RefereeView(
        referral_id=referee.referral_id,
        level=referee.level,
        joined_at=referee.joined_at,
        active_at=referee.active_at,
        state=referee.state,
        **_amounts(referee),
    )


def _amounts(sums: Referee | LevelCount) -> dict[str, str]:
    return {
        "earned": str(sums.earned),
        "pending": str(sums.pending),
        "released": str(sums.earned - sums.pending - sums.held),
        "held": str(sums.held),
        "reversed": str(sums.reversed),
    }


def _review(reviewed: Reviewed) -> ReviewView:
    referral = reviewed.referral
    return ReviewView(
        referral_id=referral.referral_id,
        user_id=referral.user_id,
        parent_id=referral.parent_id,
        second_id=referral.second_id,
        third_id=referral.third_id,
        code=referral.code,
        joined_at=referral.joined_at,
        active_at=referral.active_at,
        state=referral.state,
        evidence=[
            EvidenceView(flag.kind, flag.other_id, flag.value, flag.raised_at, flag.released)
            for flag in reviewed.flags
        ],
        decision=referral.decision,
        decided_at=referral.decided_at,
        decided_by=referral.decided_by,
        note=referral.note,
    )


referrals = Router(
    "/",
    route_handlers=[view_referrals, list_referees, list_rewards, make_code, look_up_code],
    tags=["referrals"],
)
referral_reviews = Router("/", route_handlers=[list_reviews, decide_referral], tags=["admin"])

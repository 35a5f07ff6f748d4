"""Campaigns: operators let work earn more for a while, everywhere or in one country."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from core.clock import Clock, new_id
from core.errors import Conflict, InvalidInput, NotFound
from services.audit import Audit, Kind
from services.tokens import Principal
from storage.base import Campaign, CampaignStore

#: How many there may be that are not over: each costs every close something.
CAMPAIGNS_MOST: Final = 20
NAME_LENGTH: Final = 100
#: In 10,000ths: ten times what work earns.
SHARE_MOST: Final = 100_000
BUDGET_MOST: Final = 10**18
LONGEST: Final = timedelta(days=3660)

_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_SECOND = timedelta(seconds=1)

#: planned: it has not begun. exhausted: all of its budget is spent. over: its time is.
CampaignState = Literal["planned", "running", "exhausted", "over"]


class CampaignDraft(Struct, frozen=True, kw_only=True):
    """What a campaign is to be. `starts_at` None: at once."""

    name: str
    starts_at: datetime | None
    ends_at: datetime
    country: str | None
    share: int
    budget: int


class CampaignChange(Struct, frozen=True, kw_only=True):
    """What an operator makes of a campaign that is in `version`; what is None stays."""

    version: int
    name: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    share: int | None = None
    budget: int | None = None


class Campaigns:
    """Campaigns, as the staff sees and makes them. No change lets what was be paid otherwise."""

    def __init__(self, *, store: CampaignStore, audit: Audit, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    def state(self, campaign: Campaign) -> CampaignState:
        """What it does now."""
        now = self._clock.now()
        if campaign.ends_at <= now:
            return "over"
        if campaign.spent >= campaign.budget:
            return "exhausted"
        return "running" if campaign.starts_at <= now else "planned"

    async def campaigns(self, before: UUID | None, limit: int) -> list[Campaign]:
        """All of them, the newest first, those with ids below `before`."""
        return await self._store.campaigns(before, limit)

    async def campaign(self, campaign_id: UUID) -> Campaign:
        """One of them.

        Raises:
            NotFound: "campaign_not_found".
        """
        found = await self._store.campaign(campaign_id)
        if found is None:
            raise NotFound("campaign_not_found", "There is no campaign with this id.")
        return found

    async def add(self, actor: Principal, draft: CampaignDraft) -> Campaign:
        """Make a campaign; it begins at once or later, never in the past.

        Raises:
            InvalidInput: "invalid_input" naming the field.
            Conflict: "campaigns_most": `CAMPAIGNS_MOST` are not over yet.
        """
        now = self._clock.now()
        campaign = Campaign(
            campaign_id=new_id(),
            name=draft.name.strip(),
            starts_at=_next_second(now) if draft.starts_at is None else draft.starts_at,
            ends_at=draft.ends_at,
            country=draft.country,
            share=draft.share,
            budget=draft.budget,
            created_at=now,
            updated_at=now,
            updated_by=actor.user_id,
        )
        _check(campaign)
        _check_future(now, starts_at=campaign.starts_at, ends_at=campaign.ends_at)
        if not await self._store.add(campaign, CAMPAIGNS_MOST):
            raise Conflict("campaigns_most", f"{CAMPAIGNS_MOST} campaigns are not over yet: end one first.")
        await self._note(Kind.CAMPAIGN_ADDED, campaign, changes=_differences(None, campaign))
        return campaign

    async def change(self, actor: Principal, campaign_id: UUID, change: CampaignChange) -> Campaign:
        """Make the next version of a campaign that is not over.

        What has begun keeps its beginning and its share; its end may be any time from now on, its budget
        anything down to what is spent.

        Raises:
            InvalidInput: "invalid_input" naming the field.
            NotFound: "campaign_not_found".
            Conflict: "campaign_changed": the newest version is not `change.version` any more;
                "campaign_over", "campaign_begun" or "campaign_spent": that cannot be changed any more.
        """
        former, now = await self.campaign(campaign_id), self._clock.now()
        if former.version != change.version:
            raise _outdated()
        if former.ends_at <= now:
            raise Conflict("campaign_over", "The campaign is over.")
        campaign = replace(
            former,
            name=former.name if change.name is None else change.name.strip(),
            starts_at=change.starts_at or former.starts_at,
            ends_at=change.ends_at or former.ends_at,
            share=former.share if change.share is None else change.share,
            budget=former.budget if change.budget is None else change.budget,
            version=former.version + 1,
            updated_at=now,
            updated_by=actor.user_id,
        )
        _check(campaign)
        differences = _differences(former, campaign)
        if not differences:
            return former
        if former.starts_at <= now and not differences.keys().isdisjoint(("starts_at", "share")):
            raise Conflict("campaign_begun", "It has begun: beginning and share stay. Make another one.")
        # Only what is new: what was far off may be near by now.
        _check_future(now, **{name: at for name, (_, at) in differences.items() if isinstance(at, datetime)})
        outcome = await self._store.change(campaign)
        if outcome == "outdated":
            raise _outdated()
        if outcome == "spent":
            raise Conflict("campaign_spent", "More than this budget is spent already.")
        await self._note(Kind.CAMPAIGN_CHANGED, campaign, changes=differences)
        return await self.campaign(campaign_id)

    async def _note(
        self, kind: Kind, campaign: Campaign, changes: Mapping[str, tuple[object, object]]
    ) -> None:
        words = [f"{name}: {_word(old)} → {_word(new)}" for name, (old, new) in changes.items()]
        await self._audit.note(
            kind,
            actor_id=campaign.updated_by,
            campaign=str(campaign.campaign_id),
            version=campaign.version,
            changes="; ".join(words),
        )


def _check(campaign: Campaign) -> None:
    if not 1 <= len(campaign.name) <= NAME_LENGTH or "\0" in campaign.name:
        raise _invalid("name", f"must have 1 to {NAME_LENGTH} characters")
    if campaign.country is not None and not _COUNTRY.match(campaign.country):
        raise _invalid("country", "must be the two letters of a country (ISO 3166-1), or null")
    if not 1 <= campaign.share <= SHARE_MOST:
        raise _invalid("share", f"must be 1 to {SHARE_MOST}")
    if not 0 <= campaign.budget <= BUDGET_MOST:
        raise _invalid("budget", f"must be 0 to {BUDGET_MOST}")
    for name in ("starts_at", "ends_at"):
        if getattr(campaign, name).microsecond:
            raise _invalid(name, "must be a whole second")
    if not timedelta(0) < campaign.ends_at - campaign.starts_at <= LONGEST:
        raise _invalid("ends_at", f"must be after the beginning, by {LONGEST.days} days at most")


def _check_future(now: datetime, **times: datetime) -> None:
    for name, at in times.items():
        if at < now:
            raise _invalid(name, "must not be in the past")


def _differences(former: Campaign | None, campaign: Campaign) -> dict[str, tuple[object, object]]:
    """What is changed, from what to what."""
    names = ("name", "starts_at", "ends_at", "country", "share", "budget")
    pairs = {name: (getattr(former, name, None), getattr(campaign, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _word(value: object) -> str:
    if value is None:
        return "–"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _next_second(at: datetime) -> datetime:
    return at if not at.microsecond else at.replace(microsecond=0) + _SECOND


def _invalid(field: str, rule: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{field}: {rule}.", field=field)


def _outdated() -> Conflict:
    return Conflict("campaign_changed", "The campaign was changed meanwhile; read it again.")

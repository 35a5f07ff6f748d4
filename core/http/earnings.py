"""What was earned, how it was computed, and claiming it."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from core.http.etag import tagged
from core.http.moments import moment
from core.http.openapi import fails
from core.http.pages import (
    ENTRY_MOST,
    EPOCH_MOST,
    PAGE_DEFAULT,
    Cursor,
    Limit,
    cursor_of,
    number_of,
    split,
)
from core.http.permissions import may
from core.http.requests import ApiRequest
from services.earnings import Earnings, EarningsSeries, EarningsSummary, HistoryItem, NodeEpoch
from services.explain import EpochExplained, EpochView, Explanations
from services.periods import Period
from services.rewards import Claim, Claims, Rewards
from services.tokens import Principal

From = Annotated[
    str | None,
    QueryParameter(
        format="date-time",
        name="from",
        description="Where it begins, lowered to a full period; 2 or 30 days, 26 weeks or a year earlier.",
    ),
]
To = Annotated[
    str | None,
    QueryParameter(format="date-time", name="to", description="Where it ends, raised to a full period; now."),
]
PeriodName = Annotated[Period, QueryParameter(description="The length of a step, in one's own time zone.")]


OfNode = Annotated[
    UUID | None,
    QueryParameter(description="One of one's nodes, by what its work was paid; else all there is."),
]


class HistoryPage(Struct):
    """A page of bookings, the newest first; `next_cursor` is null on the last."""

    items: list[HistoryItem]
    next_cursor: str | None


class NodeEarningsPage(Struct):
    """A page of a node's epochs, the newest first; `next_cursor` is null on the last."""

    items: list[NodeEpoch]
    next_cursor: str | None


class EpochPage(Struct):
    """A page of closed epochs, the newest first; `next_cursor` is null on the last."""

    items: list[EpochView]
    next_cursor: str | None


@get("/earnings/summary", opt=may("user"), responses=fails())
async def earnings_summary(
    request: ApiRequest, principal: NamedDependency[Principal], earnings: NamedDependency[Earnings]
) -> Response[EarningsSummary]:
    """All that was earned, what accrues, and what the day, the week and the month will come to."""
    return tagged(request, await earnings.summary(principal.user_id))


@get("/earnings/history", opt=may("user"), responses=fails())
async def earnings_history(
    principal: NamedDependency[Principal],
    earnings: NamedDependency[Earnings],
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> HistoryPage:
    """Every booking, page by page: rewards, moves from state to state, claims and corrections."""
    found = await earnings.history(principal.user_id, number_of(cursor, ENTRY_MOST), limit + 1)
    page, last = split(found, limit)
    return HistoryPage(list(page), cursor_of(UUID(int=last.entry_id)) if last else None)


@get("/earnings/history.csv", opt=may("user"), responses=fails(), media_type="text/csv")
async def earnings_table(
    principal: NamedDependency[Principal], earnings: NamedDependency[Earnings]
) -> Stream:
    """Every booking, a row for each account that it changed, as CSV; amounts are micro-points."""
    return Stream(
        earnings.table(principal.user_id),
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="pulseboard-earnings.csv"'},
    )


@get("/nodes/{node_id:uuid}/earnings", opt=may("user"), responses=fails("node_not_found"))
async def node_earnings(
    node_id: FromPath[UUID],
    principal: NamedDependency[Principal],
    earnings: NamedDependency[Earnings],
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> NodeEarningsPage:
    """What one of one's nodes did in each epoch, and what that was paid for, as long as that is kept."""
    found = await earnings.node_epochs(principal.user_id, node_id, number_of(cursor, EPOCH_MOST), limit + 1)
    page, last = split(found, limit)
    return NodeEarningsPage(list(page), cursor_of(UUID(int=last.epoch)) if last else None)


@get(
    "/earnings/series",
    opt=may("user"),
    responses=fails("invalid_input", "range_invalid", "range_too_long", "node_not_found"),
)
async def earnings_series(  # noqa: PLR0917  # the framework passes all by name
    request: ApiRequest,
    principal: NamedDependency[Principal],
    earnings: NamedDependency[Earnings],
    period: PeriodName = "day",
    start: From = None,
    end: To = None,
    node_id: OfNode = None,
) -> Response[EarningsSeries]:
    """What was earned period by period, by category; a period in which nothing was booked is null."""
    first, last = moment(start, "from"), moment(end, "to")
    found = await earnings.series(principal.user_id, period, first, last, node_id)
    return tagged(request, found)


@get("/earnings/epochs", opt=may("user"), responses=fails())
async def list_epochs(
    explanations: NamedDependency[Explanations], limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> EpochPage:
    """The closed epochs: what each paid, and to how many."""
    found = await explanations.epochs(number_of(cursor, EPOCH_MOST), limit + 1)
    page, last = split(found, limit)
    return EpochPage(list(page), cursor_of(UUID(int=last.number)) if last else None)


@get("/earnings/epochs/{number:int}", opt=may("user"), responses=fails("epoch_not_found"))
async def explain_epoch(
    request: ApiRequest,
    number: FromPath[int],
    principal: NamedDependency[Principal],
    explanations: NamedDependency[Explanations],
) -> Response[EpochExplained]:
    """An epoch with its pools and weights, what one's own nodes were measured with, and the arithmetic."""
    # What no store can number is not there either.
    number = number if 0 < number <= EPOCH_MOST else 0
    return tagged(request, await explanations.explain(principal.user_id, number))


@get("/rewards", opt=may("user"), responses=fails())
async def my_rewards(principal: NamedDependency[Principal], claims: NamedDependency[Claims]) -> Rewards:
    """What one has in which state, and what can be claimed now."""
    return await claims.rewards(principal.user_id)


@post(
    "/rewards/claims",
    status_code=201,
    opt=may("user", idempotent=True),
    responses=fails("wallet_missing", "nothing_to_claim"),
)
async def claim_rewards(principal: NamedDependency[Principal], claims: NamedDependency[Claims]) -> Claim:
    """Claim all that is claimable, for the wallet that is linked."""
    return await claims.claim(principal.user_id)


earnings = Router(
    "/",
    route_handlers=[
        earnings_summary,
        earnings_history,
        earnings_table,
        node_earnings,
        earnings_series,
        list_epochs,
        explain_epoch,
        my_rewards,
        claim_rewards,
    ],
    tags=["earnings"],
)

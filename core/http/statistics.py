"""What was measured: of a node, of all of a person's, of countries and of the whole network."""

from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from core.clock import Clock
from core.errors import InvalidInput
from core.http.etag import tagged, versioned
from core.http.moments import moment
from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from core.http.requests import ApiRequest
from services.statistics import (
    CountryStatistics,
    NetworkSeries,
    NetworkStep,
    Series,
    SessionView,
    Statistics,
    Step,
)
from services.tokens import Principal

T = TypeVar("T")

UNKNOWN: Final = "unknown"
# How far back a series goes unless `from` says so: a chart's width of points.
_REACH: Final = {"minute": timedelta(hours=3), "hour": timedelta(days=2), "day": timedelta(days=60)}
_COUNTRIES_REACH: Final = timedelta(days=1)
# Everybody asks for the same, and it changes by the hour.
_PUBLIC: Final = "public, max-age=10"

From = Annotated[
    str | None,
    QueryParameter(
        format="date-time",
        name="from",
        description="Where it begins, lowered to a full step; 3 hours, 2 or 60 days before `to`.",
    ),
]
To = Annotated[
    str | None,
    QueryParameter(format="date-time", name="to", description="Where it ends, raised to a full step; now."),
]
StepName = Annotated[Step, QueryParameter(description="The length of a step.")]
NetworkStepName = Annotated[NetworkStep, QueryParameter(description="The length of a step.")]
Country = Annotated[
    str | None,
    QueryParameter(
        pattern=rf"^([A-Z]{{2}}|{UNKNOWN})\Z",
        description="An ISO 3166-1 code, or `unknown`: nodes of which it is not known; all without.",
    ),
]


class NodeSessionPage(Struct):
    """A page of a node's sessions, the newest first; `next_cursor` is null on the last."""

    items: list[SessionView]
    next_cursor: str | None


class Countries(Struct):
    """Countries with nodes, those with most first, the unknown (null) last."""

    items: list[CountryStatistics]


@get("/nodes/{node_id:uuid}/sessions", opt=may("user"), responses=fails("node_not_found"))
async def list_node_sessions(
    node_id: FromPath[UUID],
    principal: NamedDependency[Principal],
    statistics: NamedDependency[Statistics],
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> NodeSessionPage:
    """The stays of a node in the network, page by page: a connection each, or several with short pauses."""
    found = await statistics.sessions(principal.user_id, node_id, position(cursor), limit + 1)
    page, last = split(found, limit)
    return NodeSessionPage(list(page), cursor_of(last.session_id) if last else None)


_SERIES_FAILURES = ("invalid_input", "range_invalid", "range_too_long", "range_too_old")


@get("/nodes/{node_id:uuid}/stats", opt=may("user"), responses=fails("node_not_found", *_SERIES_FAILURES))
async def node_stats(  # noqa: PLR0917  # the framework passes all by name
    request: ApiRequest,
    node_id: FromPath[UUID],
    principal: NamedDependency[Principal],
    statistics: NamedDependency[Statistics],
    clock: NamedDependency[Clock],
    start: From = None,
    end: To = None,
    step: StepName = "hour",
) -> Response[Series]:
    """What was measured of a node, step by step; a step without a measurement is null, not 0."""
    first, last = _range(clock, start, end, _REACH[step])
    return tagged(request, await statistics.series(principal.user_id, node_id, first, last, step))


@get("/me/stats", opt=may("user"), responses=fails(*_SERIES_FAILURES))
async def my_stats(  # noqa: PLR0917  # the framework passes all by name
    request: ApiRequest,
    principal: NamedDependency[Principal],
    statistics: NamedDependency[Statistics],
    clock: NamedDependency[Clock],
    start: From = None,
    end: To = None,
    step: StepName = "hour",
) -> Response[Series]:
    """What was measured of all of one's nodes together, retired ones too."""
    first, last = _range(clock, start, end, _REACH[step])
    return tagged(request, await statistics.series(principal.user_id, None, first, last, step))


@get("/network/countries", opt=may("anyone"), responses=fails(*_SERIES_FAILURES))
async def network_countries(
    request: ApiRequest,
    statistics: NamedDependency[Statistics],
    clock: NamedDependency[Clock],
    start: From = None,
    end: To = None,
) -> Response[Countries]:
    """Nodes by country: how many are online now, and what was measured in a range of time (a day)."""
    first, last = _range(clock, start, end, _COUNTRIES_REACH)
    return _public(request, Countries(await statistics.countries(first, last)))


@get("/network/series", opt=may("anyone"), responses=fails(*_SERIES_FAILURES))
async def network_series(  # noqa: PLR0917  # the framework passes all by name
    request: ApiRequest,
    statistics: NamedDependency[Statistics],
    clock: NamedDependency[Clock],
    country: Country = None,
    start: From = None,
    end: To = None,
    step: NetworkStepName = "hour",
) -> Response[NetworkSeries]:
    """What was measured of the whole network or of a country, step by step."""
    first, last = _range(clock, start, end, _REACH[step])
    where = "" if country == UNKNOWN else country
    return _public(request, await statistics.network_series(where, first, last, step))


def _range(clock: Clock, start: str | None, end: str | None, reach: timedelta) -> tuple[datetime, datetime]:
    """The range that is asked for, in UTC.

    Raises:
        InvalidInput: "range_invalid", and as `moment` says.
    """
    last = moment(end, "to") or clock.now()
    first = moment(start, "from")
    try:
        return last - reach if first is None else first, last
    except OverflowError:
        raise InvalidInput("range_invalid", "The range is outside the calendar.") from None


def _public(request: ApiRequest, view: T) -> Response[T]:
    return versioned(request, msgspec.json.encode(view), "application/json", _PUBLIC)


statistics_of_nodes = Router("/", route_handlers=[list_node_sessions, node_stats, my_stats], tags=["nodes"])
statistics_of_network = Router("/", route_handlers=[network_countries, network_series], tags=["network"])

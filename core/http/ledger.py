"""The closing of epochs and the proofs of the ledger, for the staff."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from core.http.openapi import fails
from core.http.pages import EPOCH_MOST, PAGE_DEFAULT, Cursor, Limit, cursor_of, number_of, split
from core.http.permissions import may
from services.explain import EpochView, Explanations
from services.oversight import Closing, LedgerState, Oversight, Straggler
from services.tokens import Principal


class OpenEpochView(Struct):
    """The epoch that is closed next. It is due at `due_at`, and `late_ms` over that.

    `waiting_for`: the workers that hold it back. With none, what they told is not all in the database yet.
    """

    number: int
    starts_at: datetime
    ends_at: datetime
    terms: int
    measured_at: datetime | None
    due_at: datetime
    late_ms: int
    waiting_for: list[Straggler]


class EpochsOverview(Struct):
    """The open epoch, null before the first, and a page of closed ones, the newest first.

    `next_cursor` is null on the last page.
    """

    open: OpenEpochView | None
    items: list[EpochView]
    next_cursor: str | None


@get("/admin/epochs", opt=may("support"), responses=fails())
async def oversee_epochs(
    oversight: NamedDependency[Oversight],
    explanations: NamedDependency[Explanations],
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> EpochsOverview:
    """What the next close waits for, and what was paid before."""
    closing = await oversight.closing()
    found = await explanations.epochs(number_of(cursor, EPOCH_MOST), limit + 1)
    page, last = split(found, limit)
    return EpochsOverview(
        _open(closing) if closing else None,
        list(page),
        cursor_of(UUID(int=last.number)) if last else None,
    )


@get("/admin/ledger", opt=may("support"), responses=fails())
async def view_ledger(oversight: NamedDependency[Oversight]) -> LedgerState:
    """The newest check of the ledger: what does not hold, if anything, and whether another one is wanted."""
    return await oversight.ledger()


@post(
    "/admin/ledger/checks",
    status_code=202,
    opt=may("operator"),
    responses=fails("ledger_check_waiting"),
)
async def ask_for_check(
    principal: NamedDependency[Principal], oversight: NamedDependency[Oversight]
) -> LedgerState:
    """Have everything checked now, one check at a time; `GET /admin/ledger` has the outcome."""
    return await oversight.ask(principal)


def _open(closing: Closing) -> OpenEpochView:
    epoch = closing.epoch
    return OpenEpochView(
        epoch.number,
        epoch.starts_at,
        epoch.ends_at,
        epoch.terms.version,
        epoch.measured_at,
        closing.due_at,
        closing.late_ms,
        closing.waiting_for,
    )


ledger = Router("/", route_handlers=[oversee_epochs, view_ledger, ask_for_check], tags=["admin"])

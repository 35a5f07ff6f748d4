"""People and security events, for the staff."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Router, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct

from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from core.http.views import NodeDetail, node_detail
from services.nodes import Nodes
from services.staff import Staff
from services.tokens import Principal
from storage.base import AuditEvent, LoginSession, User

Role = Literal["user", "support", "operator"]
Words = Annotated[
    str, QueryParameter(max_length=254, description="The beginning of an e-mail address, or a whole id.")
]
KindName = Annotated[
    str | None,
    QueryParameter(max_length=64, description="A kind of event, or the part up to and with its dot."),
]


class Person(Struct):
    """An account as the staff sees it."""

    user_id: UUID
    email: str
    display_name: str
    role: Role
    locale: str
    time_zone: str
    wallet: str | None
    second_factor: bool
    created_at: datetime


class PersonPage(Struct):
    """A page of accounts by id; `next_cursor` is null on the last."""

    items: list[Person]
    next_cursor: str | None


class OpenSession(Struct):
    """A session of somebody."""

    session_id: UUID
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime


class PersonView(Struct):
    """An account and its newest open sessions, 50 at most."""

    person: Person
    sessions: list[OpenSession]


class RoleChange(Struct, forbid_unknown_fields=True):
    """Another role."""

    role: Role


class Ended(Struct):
    """How many sessions were ended."""

    sessions: int


class SecurityEvent(Struct):
    """An entry of the audit log: what happened to `user_id`, done by `actor_id`."""

    event_id: UUID
    at: datetime
    kind: str
    user_id: UUID | None
    actor_id: UUID | None
    address: str
    request_id: str
    facts: dict[str, Any]


class SecurityEventPage(Struct):
    """A page of events, the newest first; `next_cursor` is null on the last."""

    items: list[SecurityEvent]
    next_cursor: str | None


@get("/admin/users", opt=may("support"), responses=fails())
async def list_users(
    principal: NamedDependency[Principal],
    staff: NamedDependency[Staff],
    q: Words = "",
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> PersonPage:
    """Accounts, page by page, or those whose address begins with `q` or whose id it is."""
    found = await staff.find(principal, q.strip(), position(cursor), limit + 1)
    page, last = split(found, limit)
    return PersonPage([_person(user) for user in page], cursor_of(last.user_id) if last else None)


@get("/admin/users/{user_id:uuid}", opt=may("support"), responses=fails("user_not_found"))
async def view_user(
    user_id: FromPath[UUID], principal: NamedDependency[Principal], staff: NamedDependency[Staff]
) -> PersonView:
    """One account, and where it is signed in."""
    user, sessions = await staff.view(principal, user_id)
    return PersonView(_person(user), [_session(each) for each in sessions])


@patch("/admin/users/{user_id:uuid}", opt=may("operator"), responses=fails("user_not_found", "own_role"))
async def set_role(
    user_id: FromPath[UUID],
    data: JSONBody[RoleChange],
    principal: NamedDependency[Principal],
    staff: NamedDependency[Staff],
) -> Person:
    """Give somebody another role; their sessions end."""
    return _person(await staff.set_role(principal, user_id, data.role))


@delete(
    "/admin/users/{user_id:uuid}/sessions",
    status_code=200,
    opt=may("operator"),
    responses=fails("user_not_found"),
)
async def end_user_sessions(
    user_id: FromPath[UUID], principal: NamedDependency[Principal], staff: NamedDependency[Staff]
) -> Ended:
    """Sign somebody out everywhere."""
    return Ended(await staff.end_sessions(principal, user_id))


@get("/admin/nodes/{node_id:uuid}", opt=may("support"), responses=fails("node_not_found"))
async def view_node(
    node_id: FromPath[UUID], principal: NamedDependency[Principal], owned: NamedDependency[Nodes]
) -> NodeDetail:
    """Anybody's node, and how it does now."""
    return node_detail(await owned.view(principal, node_id))


@get("/admin/audit", opt=may("operator"), responses=fails())
async def read_audit(  # noqa: PLR0917  # the framework passes all by name
    principal: NamedDependency[Principal],
    staff: NamedDependency[Staff],
    user: Annotated[UUID | None, QueryParameter(description="Whom it concerns.")] = None,
    kind: KindName = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> SecurityEventPage:
    """Security events, the newest first."""
    found = await staff.audit(principal, user_id=user, kind=kind, before=position(cursor), limit=limit + 1)
    page, last = split(found, limit)
    return SecurityEventPage([_event(each) for each in page], cursor_of(last.event_id) if last else None)


def _person(user: User) -> Person:
    return Person(
        user_id=user.user_id,
        email=user.email,
        display_name=user.display_name,
        role=user.role,  # type: ignore[arg-type]  # the store holds none but these
        locale=user.locale,
        time_zone=user.time_zone,
        wallet=user.wallet,
        second_factor=user.second_factor,
        created_at=user.created_at,
    )


def _session(each: LoginSession) -> OpenSession:
    return OpenSession(each.session_id, each.device, each.address, each.created_at, each.last_used_at)


def _event(event: AuditEvent) -> SecurityEvent:
    return SecurityEvent(
        event.event_id,
        event.at,
        event.kind,
        event.user_id,
        event.actor_id,
        event.address,
        event.request_id,
        event.facts,
    )


admin = Router(
    "/",
    route_handlers=[list_users, view_user, set_role, end_user_sessions, view_node, read_audit],
    tags=["admin"],
)

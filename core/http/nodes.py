"""Nodes and the network."""

from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from core.http.views import (
    AccessToken,
    ClientSettings,
    Enrolment,
    EnrolRequest,
    NodePage,
    NodeRecord,
    NodeTokenRequest,
    node_record,
)
from core.messages import NetworkSummary
from services.networks import Networks
from services.tokens import Principal, Tokens


@post("/nodes/enrolments", opt=may("user"), responses=fails())
async def create_enrolment(
    principal: NamedDependency[Principal], tokens: NamedDependency[Tokens]
) -> Enrolment:
    """Get a token with which an agent can enrol nodes for oneself, and nothing else."""
    token, expires_at = tokens.for_enrolment(principal.user_id, principal.session_id)
    return Enrolment(token, expires_at)


@post("/nodes", opt=may("user", "enrol", idempotent=True), responses=fails("signature_invalid", "key_taken"))
async def enrol(
    data: JSONBody[EnrolRequest],
    principal: NamedDependency[Principal],
    networks: NamedDependency[Networks],
) -> NodeRecord:
    """Enrol a node; the same key again answers with the node there is."""
    node = await networks.enrol(principal.user_id, data.public_key, data.name, data.signature)
    return node_record(node)


@post(
    "/nodes/token",
    status_code=200,
    opt=may("anyone"),
    responses=fails("clock_skew", "node_rejected", "signature_used"),
)
async def node_token(data: JSONBody[NodeTokenRequest], networks: NamedDependency[Networks]) -> AccessToken:
    """Get an access token for a node by its signature, which serves once."""
    token, expires_at = await networks.node_token(data.node_id, data.time_ms, data.signature)
    return AccessToken(token, expires_at)


@get("/nodes", opt=may("user"), responses=fails())
async def list_nodes(
    principal: NamedDependency[Principal],
    networks: NamedDependency[Networks],
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> NodePage:
    """One's nodes, page by page."""
    found = await networks.list_nodes(principal.user_id, position(cursor), limit + 1)
    page, last = split(found, limit)
    return NodePage([node_record(node) for node in page], cursor_of(last.node_id) if last else None)


@get("/nodes/{node_id:uuid}", opt=may("user"), responses=fails("node_not_found"))
async def get_node(
    node_id: FromPath[UUID],
    principal: NamedDependency[Principal],
    networks: NamedDependency[Networks],
) -> NodeRecord:
    """One of one's nodes."""
    return node_record(await networks.get(principal.user_id, node_id))


@get("/network/summary", opt=may("anyone"), responses=fails())
async def network_summary(networks: NamedDependency[Networks]) -> NetworkSummary:
    """The whole network: the data of channel `network`."""
    return await networks.summary()


@get("/client", opt=may("anyone"), responses=fails())
async def client_settings(client: NamedDependency[ClientSettings]) -> ClientSettings:
    """Where and how to connect."""
    return client


nodes = Router(
    "/",
    route_handlers=[create_enrolment, enrol, node_token, list_nodes, get_node],
    tags=["nodes"],
)
network = Router("/", route_handlers=[network_summary, client_settings], tags=["network"])

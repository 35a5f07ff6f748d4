"""Nodes and the network."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from core.http.openapi import BEARER, fails
from core.http.requests import may_enrol, signed_in
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
from services.networks import PAGE_MAX, Networks
from services.tokens import Principal, Tokens


@post("/nodes/enrolments", guards=signed_in, security=BEARER, responses=fails(401))
async def create_enrolment(
    principal: NamedDependency[Principal], tokens: NamedDependency[Tokens]
) -> Enrolment:
    """Get a token with which an agent can enrol nodes for oneself, and nothing else."""
    token, expires_at = tokens.for_enrolment(principal.user_id)
    return Enrolment(token, expires_at)


@post("/nodes", guards=may_enrol, security=BEARER, responses=fails(400, 401, 409))
async def enrol(
    data: JSONBody[EnrolRequest],
    principal: NamedDependency[Principal],
    networks: NamedDependency[Networks],
) -> NodeRecord:
    """Enrol a node; the same key again answers with the node there is."""
    node = await networks.enrol(principal.user_id, data.public_key, data.name, data.signature)
    return node_record(node)


@post("/nodes/token", status_code=200, responses=fails(400, 401))
async def node_token(data: JSONBody[NodeTokenRequest], networks: NamedDependency[Networks]) -> AccessToken:
    """Get an access token for a node by its signature, which serves once."""
    token, expires_at = await networks.node_token(data.node_id, data.time_ms, data.signature)
    return AccessToken(token, expires_at)


@get("/nodes", guards=signed_in, security=BEARER, responses=fails(400, 401))
async def list_nodes(
    principal: NamedDependency[Principal],
    networks: NamedDependency[Networks],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, QueryParameter(max_length=64)] = None,
) -> NodePage:
    """One's nodes, page by page."""
    nodes, next_cursor = await networks.list_nodes(principal.user_id, cursor, limit)
    return NodePage([node_record(node) for node in nodes], next_cursor)


@get("/nodes/{node_id:uuid}", guards=signed_in, security=BEARER, responses=fails(400, 401, 404))
async def get_node(
    node_id: FromPath[UUID],
    principal: NamedDependency[Principal],
    networks: NamedDependency[Networks],
) -> NodeRecord:
    """One of one's nodes."""
    return node_record(await networks.get(principal.user_id, node_id))


@get("/network/summary")
async def network_summary(networks: NamedDependency[Networks]) -> NetworkSummary:
    """The whole network: the data of channel `network`."""
    return await networks.summary()


@get("/client")
async def client_settings(client: NamedDependency[ClientSettings]) -> ClientSettings:
    """Where and how to connect."""
    return client


nodes = Router(
    "/",
    route_handlers=[create_enrolment, enrol, node_token, list_nodes, get_node],
    tags=["nodes"],
)
network = Router("/", route_handlers=[network_summary, client_settings], tags=["network"])

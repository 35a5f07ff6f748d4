"""Nodes and the network."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from core.http.etag import check_version, etag_of
from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from core.http.requests import ApiRequest
from core.http.views import (
    AccessToken,
    ClientSettings,
    Enrolment,
    EnrolRequest,
    NodeChange,
    NodeDetail,
    NodePage,
    NodeRecord,
    NodeTokenRequest,
    node_detail,
    node_item,
    node_record,
)
from core.messages import NetworkSummary
from services.networks import Networks
from services.nodes import Nodes
from services.tokens import Principal, Tokens
from storage.base import Status

StateName = Annotated[Status | None, QueryParameter(name="state", description="Only nodes in this state.")]


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
    responses=fails("clock_skew", "node_rejected", "signature_used", "node_suspended"),
)
async def node_token(data: JSONBody[NodeTokenRequest], networks: NamedDependency[Networks]) -> AccessToken:
    """Get an access token for a node by its signature, which serves once."""
    token, expires_at = await networks.node_token(data.node_id, data.time_ms, data.signature)
    return AccessToken(token, expires_at)


@get("/nodes", opt=may("user"), responses=fails())
async def list_nodes(
    principal: NamedDependency[Principal],
    owned: NamedDependency[Nodes],
    only: StateName = None,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> NodePage:
    """One's nodes, page by page; with `state` only those in it."""
    found = await owned.listed(principal.user_id, position(cursor), limit + 1, only)
    page, last = split(found, limit)
    return NodePage([node_item(each) for each in page], cursor_of(last.node.node_id) if last else None)


@get("/nodes/{node_id:uuid}", opt=may("user"), responses=fails("node_not_found"))
async def get_node(
    node_id: FromPath[UUID], principal: NamedDependency[Principal], owned: NamedDependency[Nodes]
) -> Response[NodeDetail]:
    """One of one's nodes, and how it does now; its `ETag` is that of what can be changed."""
    known = await owned.get(principal.user_id, node_id)
    # How a node does changes all the time: whoever wants to rename it need not have seen the last of it.
    headers = {"etag": etag_of(node_record(known.node)), "cache-control": "no-store"}
    return Response(node_detail(known), headers=headers)


@patch("/nodes/{node_id:uuid}", opt=may("user"), responses=fails("node_not_found", "precondition_failed"))
async def change_node(
    request: ApiRequest,
    node_id: FromPath[UUID],
    data: JSONBody[NodeChange],
    principal: NamedDependency[Principal],
    owned: NamedDependency[Nodes],
) -> Response[NodeRecord]:
    """Give one of one's nodes another name."""
    known = await owned.get(principal.user_id, node_id)
    check_version(request, node_record(known.node))
    renamed = node_record(await owned.rename(known.node, data.name))
    return Response(renamed, headers={"etag": etag_of(renamed)})


@delete("/nodes/{node_id:uuid}", status_code=204, opt=may("user"), responses=fails("node_not_found"))
async def retire_node(
    node_id: FromPath[UUID], principal: NamedDependency[Principal], owned: NamedDependency[Nodes]
) -> None:
    """End one of one's nodes for good; what it earned stays, and its key can be enrolled again."""
    await owned.retire(principal.user_id, node_id)


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
    route_handlers=[create_enrolment, enrol, node_token, list_nodes, get_node, change_node, retire_node],
    tags=["nodes"],
)
network = Router("/", route_handlers=[network_summary, client_settings], tags=["network"])

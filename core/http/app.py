"""The HTTP application, put together from the services it is given."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from core.config import Config
from core.http.accounts import RefreshCookie, accounts
from core.http.edge import Edge, content_security_policy
from core.http.nodes import network, nodes
from core.http.openapi import openapi_config
from core.http.operations import Check, Operations, operations_router
from core.http.page import Page
from core.http.problems import handle
from core.http.requests import TOKENS, ApiRequest, provide_principal
from core.http.views import ClientSettings
from core.metrics import Metrics, Source
from services.earnings import Earnings
from services.networks import Networks
from services.tokens import Tokens
from services.users import Users
from storage.base import Presence

V1 = "/api/v1"


def create_app(
    *,
    config: Config,
    version: str,
    users: Users,
    networks: Networks,
    earnings: Earnings,
    tokens: Tokens,
    presence: Presence,
    checks: Mapping[str, Check],
    draining: asyncio.Event,
    sources: Sequence[Source] = (),
    page: Page | None = None,
) -> Edge:
    """The ASGI application: the API, the operations and the page.

    `checks` are what ``/readyz`` asks, by name; `draining` makes it say no. `sources` are further
    metrics of this process, next to those of the application (`Edge.metrics`). `page` is the
    built bundle unless given.
    """

    def source() -> Metrics:
        merged: Metrics = {"version": version, **edge.metrics()}
        for further in sources:
            merged.update(further())
        return merged

    ws_url = config.ws.public_url or None
    cookie = RefreshCookie(
        path=f"{V1}/auth",
        max_age=config.auth.refresh_ttl,
        secure=config.http.public_url.startswith("https://"),
    )
    client = ClientSettings(ws_url, config.ws.port, version, config.network.beat_interval)
    injected = {
        "users": users,
        "networks": networks,
        "earnings": earnings,
        "tokens": tokens,
        "refresh_cookie": cookie,
        "client": client,
        "operations": Operations(checks, presence, source, draining),
    }
    api = Litestar(
        [Router(V1, route_handlers=[accounts, nodes, network]), operations_router],
        dependencies={
            "principal": Provide(provide_principal),
            **{name: _given(value) for name, value in injected.items()},
        },
        state=State({TOKENS: tokens}),
        request_class=ApiRequest,
        request_max_body_size=config.http.max_body,
        exception_handlers={Exception: handle},
        openapi_config=openapi_config(f"{V1}/openapi.json", version),
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    edge = Edge(api, page or Page(), content_security_policy(ws_url, config.ws.port))
    return edge


def _given(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)

"""The HTTP application, put together from the services it is given."""

import asyncio
from collections.abc import Mapping, Sequence

from litestar import Litestar, Router
from msgspec import Struct

from core.address import Proxies
from core.clock import Clock
from core.config import Config
from core.http.abuse import abuse_admin, flags_of_nodes
from core.http.accounts import accounts
from core.http.admin import admin
from core.http.binding import bind
from core.http.campaigns import campaigns_admin
from core.http.cookies import RefreshCookie
from core.http.cors import Cors
from core.http.description import Description, described
from core.http.device import DeviceCookie
from core.http.earnings import earnings
from core.http.edge import Edge, Rules, content_security_policy
from core.http.idempotency import Idempotency
from core.http.ledger import ledger
from core.http.nodes import network, nodes
from core.http.openapi import openapi_config
from core.http.operations import Check, Operations, operations_router
from core.http.page import Page
from core.http.permissions import Authority, check_declarations, guard
from core.http.problems import handle
from core.http.profile import own
from core.http.rate import RateLimiter
from core.http.referrals import referral_reviews, referrals
from core.http.requests import ApiRequest
from core.http.score import formulas, node_scores
from core.http.second_factor import second_factor
from core.http.sessions import sessions
from core.http.shortcuts import Shortcuts
from core.http.statistics import statistics_of_network, statistics_of_nodes
from core.http.views import ClientSettings
from core.metrics import Metrics, Source
from services.abuse import Abuse
from services.accounts import Accounts
from services.audit import Audit
from services.campaigns import Campaigns
from services.earnings import Earnings
from services.explain import Explanations
from services.networks import Networks
from services.nodes import Nodes
from services.oversight import Oversight
from services.referrals import Referrals
from services.revocations import Revocations
from services.rewards import Claims
from services.score import Scores
from services.sessions import Sessions
from services.staff import Staff
from services.statistics import Statistics
from services.tokens import Tokens
from storage.base import IdempotencyStore, Presence

V1 = "/api/v1"


class Injected(Struct, frozen=True, kw_only=True):
    """The services; a handler gets each that it names as a parameter."""

    accounts: Accounts
    sessions: Sessions
    networks: Networks
    owned: Nodes
    statistics: Statistics
    earnings: Earnings
    explanations: Explanations
    claims: Claims
    tokens: Tokens
    revocations: Revocations
    audit: Audit
    staff: Staff
    abuse: Abuse
    scores: Scores
    referrals: Referrals
    campaigns: Campaigns
    oversight: Oversight


def make_api(
    services: Mapping[str, object], version: str, max_body: int, repeats: Idempotency | None = None
) -> Litestar:
    """The API and the operations, each handler with the `services` that it names.

    Without `repeats` it can be described, but repeated requests are done again.

    Raises:
        LookupError: a handler does not declare who may call it.
    """
    areas = [
        accounts,
        own,
        second_factor,
        sessions,
        nodes,
        node_scores,
        statistics_of_nodes,
        network,
        formulas,
        statistics_of_network,
        admin,
        flags_of_nodes,
        abuse_admin,
        referrals,
        referral_reviews,
        campaigns_admin,
        earnings,
        ledger,
        described,
    ]
    api = Litestar(
        [Router(V1, route_handlers=bind(areas, services)), *bind([operations_router], services)],
        middleware=[guard, *([repeats.middleware] if repeats else [])],
        request_class=ApiRequest,
        request_max_body_size=max_body,
        exception_handlers={Exception: handle},
        openapi_config=openapi_config(version),
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    check_declarations(api)
    return api


def create_app(
    *,
    config: Config,
    version: str,
    services: Injected,
    idempotency: IdempotencyStore,
    presence: Presence,
    clock: Clock,
    checks: Mapping[str, Check],
    draining: asyncio.Event,
    sources: Sequence[Source] = (),
    page: Page | None = None,
) -> Edge:
    """The ASGI application: the API, the operations and the page.

    `checks` are what ``/readyz`` asks, by name; `draining` makes it say no. `sources` are further
    metrics of this process, next to those of the application (`Edge.metrics`). `page` is the
    built bundle unless given.

    Raises:
        LookupError: a handler does not declare who may call it.
    """

    def source() -> Metrics:
        merged: Metrics = {"version": version, **edge.metrics()}
        for further in sources:
            merged.update(further())
        return merged

    http = config.http
    ws_url = config.ws.public_url or None
    injected = {
        **{name: getattr(services, name) for name in Injected.__struct_fields__},
        "refresh_cookie": RefreshCookie.of_site(http.public_url, f"{V1}/auth", config.auth.refresh_ttl),
        "device_cookie": DeviceCookie(f"{V1}/auth", http.public_url.startswith("https://")),
        "client": ClientSettings(ws_url, config.ws.port, version, config.network.beat_interval),
        "operations": Operations(checks, presence, source, draining),
        "description": Description(lambda: api),
        "clock": clock,
    }
    repeats = Idempotency(idempotency, clock, http.max_body)
    api = make_api(injected, version, http.max_body, repeats)
    rules = Rules(
        policy=content_security_policy(ws_url, config.ws.port),
        authority=Authority(services.tokens, services.revocations.check, clock),
        proxies=Proxies(http.trusted_proxies),
        cors=Cors(http.allowed_origins),
        limiter=RateLimiter(http.rate, http.burst) if http.rate else None,
        timeout=http.request_timeout,
        https=http.public_url.startswith("https://"),
    )
    edge = Edge(Shortcuts(api), page or Page(), rules, finish=repeats.finish)
    return edge

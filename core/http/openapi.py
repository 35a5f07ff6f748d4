"""The OpenAPI 3.1 description, made from the handlers and what they declare."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Components, SecurityScheme, Tag

from core.http.codes import CODES
from core.http.permissions import Declared, declared, handlers
from core.http.problems import MEDIA_TYPE, Problem

SCHEME = "bearer"
PROBLEM = "Problem"

# What else can be asked with what an answer holds: operation → {link: (operation, parameters)}.
_LINKS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "enrol": {"node": ("get_node", {"node_id": "$response.body#/node_id"})},
    "list_nodes": {
        "first": ("get_node", {"node_id": "$response.body#/items/0/node_id"}),
        "rename": ("change_node", {"node_id": "$response.body#/items/0/node_id"}),
        "retire": ("retire_node", {"node_id": "$response.body#/items/0/node_id"}),
        "next": ("list_nodes", {"cursor": "$response.body#/next_cursor"}),
    },
    "list_sessions": {
        "last": ("end_session", {"session_id": "$response.body#/items/0/session_id"}),
        "next": ("list_sessions", {"cursor": "$response.body#/next_cursor"}),
    },
    "list_users": {
        "first": ("view_user", {"user_id": "$response.body#/items/0/user_id"}),
        "role": ("set_role", {"user_id": "$response.body#/items/0/user_id"}),
        "sessions": ("end_user_sessions", {"user_id": "$response.body#/items/0/user_id"}),
        "next": ("list_users", {"cursor": "$response.body#/next_cursor"}),
    },
    "read_audit": {
        "user": ("view_user", {"user_id": "$response.body#/items/0/user_id"}),
        "next": ("read_audit", {"cursor": "$response.body#/next_cursor"}),
    },
}
# Whose answers have a version, and the condition that each takes.
_CONDITIONS = {
    "me": ("If-None-Match", "Answered 304 while this is the newest version."),
    "change_me": ("If-Match", "Changed only if this is the newest version still."),
    "change_node": ("If-Match", "Changed only if this is the newest version still."),
}
# Whose answers name the version of what can be changed, and can be asked for at any time.
_VERSIONED = {"get_node"}
_ETAG = {"ETag": {"description": "The version.", "schema": {"type": "string"}}}
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that is sent again with the same key is answered again, but not done again.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{8,128}$"},
}
_LIMIT_HEADERS = {
    "RateLimit-Policy": "How many requests (`q`) a caller may send in how many seconds (`w`).",
    "RateLimit": "How many are left (`r`), and in how many seconds (`t`) all are there again.",
}


@dataclass
class ProblemSpec(ResponseSpec):
    """The problems of one status that a handler may answer with."""

    codes: tuple[str, ...] = ()


def fails(*codes: str) -> dict[int, ResponseSpec]:
    """The problems that a handler may answer with, by their code.

    Those that come with its declaration, its parameters and its body are added by themselves.

    Raises:
        KeyError: there is no such code in `CODES`.
    """
    found: dict[int, list[str]] = {CODES["unavailable"].status: []}
    for code in codes:
        found.setdefault(CODES[code].status, []).append(code)
    return {
        status: ProblemSpec(Problem, generate_examples=False, media_type=MEDIA_TYPE, codes=tuple(names))
        for status, names in found.items()
    }


def openapi_config(version: str) -> OpenAPIConfig:
    """What Litestar's part of the description is made with; `describe` adds ours, and we serve it."""
    return OpenAPIConfig(
        title="Pulseboard",
        version=version,
        summary="Accounts, nodes, live earnings.",
        description=(
            "Errors are RFC 9457 problems with a stable `code`. Times are UTC, RFC 3339. Amounts are "
            "micro-points, whole numbers written as strings. Ids are UUIDv7. `x-who` says who may call: "
            "anyone, user (whatever the role), node, enrol (an enrolment token), support, operator."
        ),
        # Litestar's own pages: none.
        openapi_router=_Nothing("/", route_handlers=[]),
        components=Components(
            security_schemes={
                SCHEME: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="An access token of /auth/login, /auth/refresh or /nodes/token.",
                )
            }
        ),
        tags=[
            Tag(name="accounts"),
            Tag(name="nodes"),
            Tag(name="network"),
            Tag(name="earnings"),
            Tag(name="referrals"),
            Tag(name="admin"),
            Tag(name="operations"),
        ],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, method, path: handler.handler_name,
    )


def describe(app: Litestar) -> dict[str, Any]:
    """The whole description of `app`."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    for path, handler in handlers(app):
        item = document["paths"].get(path, {})
        for method in handler.http_methods:
            if method.lower() in item:
                _complete(item[method.lower()], path, handler)
    return document


def problem_codes(path: str, handler: HTTPRouteHandler) -> list[str]:
    """Every code that a handler may answer with."""
    declaration = declared(handler)
    parameters = handler.parsed_fn_signature.parameters
    codes = ["bad_request", "headers_too_large", "timeout", "unavailable"]
    codes += _of_declaration(declaration)
    if "data" in parameters:
        codes += ["invalid_json", "invalid_input", "body_too_large", "unsupported_media_type"]
    if "limit" in parameters or "cursor" in parameters:
        codes.append("invalid_input")
    if "{" in path:
        codes.append("not_found")
    if path.startswith("/api/"):
        codes.append("too_many_requests")
    for response in (handler.responses or {}).values():
        if isinstance(response, ProblemSpec):
            codes += response.codes
    return list(dict.fromkeys(codes))


def _of_declaration(declaration: Declared) -> Iterable[str]:
    if not declaration.public:
        yield from ("token_missing", "token_invalid", "token_expired", "token_revoked", "forbidden")
    if declaration.idempotent:
        yield from ("in_progress", "idempotency_mismatch")


def _complete(operation: dict[str, Any], path: str, handler: HTTPRouteHandler) -> None:
    declaration = declared(handler)
    operation["x-who"] = list(declaration.who)
    codes = problem_codes(path, handler)
    if "token_missing" in codes:
        # A handler for anyone that knows this code takes something else in a token's place.
        operation["security"] = [{}, {SCHEME: []}] if declaration.public else [{SCHEME: []}]
    if declaration.idempotent:
        operation.setdefault("parameters", []).append(_KEY_PARAMETER)
    if operation["operationId"] in _CONDITIONS:
        _version(operation)
    if operation["operationId"] in _VERSIONED:
        operation["responses"]["200"]["headers"] = dict(_ETAG)
    limited = path.startswith("/api/")
    responses = {status: each for status, each in operation["responses"].items() if int(status) < 400}
    # What has no content has no media type; Litestar names one all the same.
    responses.get("204", {}).pop("content", None)
    for answer in responses.values():
        links = _LINKS.get(operation["operationId"], {})
        if links:
            answer["links"] = {
                name: {"operationId": target, "parameters": parameters}
                for name, (target, parameters) in links.items()
            }
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problem(status, codes)
    if limited:
        for answer in responses.values():
            answer["headers"] = {
                **answer.get("headers", {}),
                **{
                    name: {"description": text, "schema": {"type": "string"}}
                    for name, text in _LIMIT_HEADERS.items()
                },
            }
    operation["responses"] = responses


def _version(operation: dict[str, Any]) -> None:
    name, meaning = _CONDITIONS[operation["operationId"]]
    condition = {
        "name": name,
        "in": "header",
        "required": False,
        "description": meaning,
        "schema": {"type": "string"},
    }
    operation.setdefault("parameters", []).append(condition)
    operation["responses"]["200"]["headers"] = dict(_ETAG)
    if name == "If-None-Match":
        operation["responses"]["304"] = {"description": "Nothing has changed.", "headers": dict(_ETAG)}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    lines = [f"- `{code}`: {CODES[code].meaning}" for code in codes]
    return {
        "description": "\n".join([f"{HTTPStatus(status).phrase}.", "", *lines]),
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}},
        "x-codes": codes,
    }


class _Nothing(Router):
    """Takes what Litestar would serve of the description, and serves none of it."""

    def register(self, value: Any) -> list[Any]:
        return []

"""Errors as RFC 9457 problems: the one place where an exception becomes an answer."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import ParameterKwarg
from msgspec import UNSET, Struct, UnsetType

from core.errors import Refusal, StorageUnavailable, Unauthenticated
from core.logs import get_logger

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:pulseboard:problem:"
RETRY_AFTER = 2

# Codes of what the protocol itself refuses; every other code comes from the `core.errors` tree.
_PROTOCOL_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
    431: "headers_too_large",
}
_PROTOCOL_DETAILS = {
    400: "The request is no proper HTTP.",
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    408: "The request did not come whole in time.",
    415: "The body must be application/json.",
    413: "The body is larger than this server accepts.",
    431: "The request's line and headers are larger than this server accepts.",
}

_AS_THEY_ARE: Mapping[str, str] = {}

log = get_logger("http")


class Overdue(Refusal):
    """The request took longer than is allowed."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "timeout", "This took too long and was given up; nothing was half-done.", retry_after=RETRY_AFTER
        )


class Problem(Struct, kw_only=True):
    """What went wrong. `code` is stable; `field` names the part of the input at fault, if one is."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | UnsetType = UNSET
    field: str | UnsetType = UNSET


class RenderedProblem(Struct, frozen=True):
    """A problem ready to send: status, headers (lower-case names) and body."""

    status: int
    headers: dict[str, str]
    body: bytes


def render(
    error: Exception, request_id: str | None = None, names: Mapping[str, str] = _AS_THEY_ARE
) -> RenderedProblem:
    """The answer to `error`. `names` are those of parameters that clients know by another.

    What nobody foresaw is logged with its traceback and answered without any detail.
    """
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
    extra: Mapping[str, Any] = {}
    if isinstance(error, Refusal):
        status, code, detail, extra = error.status, error.code, error.detail, error.extra
        if isinstance(error, Unauthenticated):
            headers["www-authenticate"] = "Bearer"
        if "retry_after" in extra:
            headers["retry-after"] = str(extra["retry_after"])
    elif isinstance(error, StorageUnavailable):
        log.error("storage unavailable", reason=str(error))
        status, code, detail = 503, "unavailable", "A server behind this one does not answer. Try again."
        headers["retry-after"] = str(RETRY_AFTER)
    elif isinstance(error, ValidationException):
        status, code = 400, "invalid_input"
        detail, extra = _validation(error, names)
    elif isinstance(error, HTTPException) and error.status_code < 500:
        status = error.status_code
        code = _PROTOCOL_CODES.get(status, "bad_request")
        detail = _PROTOCOL_DETAILS.get(status, error.detail)
        headers.update({name.lower(): value for name, value in (error.headers or {}).items()})
    else:
        log.error("unexpected error", exc_info=error)
        status, code, detail = 500, "internal", "Something went wrong on the server."
    body = {
        "type": TYPE_PREFIX + code,
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if request_id is not None:
        body["request_id"] = request_id
    return RenderedProblem(status, headers, msgspec.json.encode({**body, **extra, **body}))


def protocol_error(status: HTTPStatus, **headers: str) -> HTTPException:
    """What to raise when the request fails as HTTP, before its meaning matters."""
    return HTTPException(status_code=status.value, headers=headers or None)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for everything."""
    names = _names(request) if isinstance(error, ValidationException) else _AS_THEY_ARE
    problem = render(error, request.scope["state"].get("request_id"), names)
    headers = dict(problem.headers)
    media_type = headers.pop("content-type")
    return Response(problem.body, status_code=problem.status, headers=headers, media_type=media_type)


def _names(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """The parameters of the request's handler that clients know by another name, and that name."""
    parameters = request.scope["route_handler"].parsed_fn_signature.parameters
    return {
        name: kwarg.name
        for name, parameter in parameters.items()
        if isinstance(kwarg := parameter.kwarg_definition, ParameterKwarg) and kwarg.name
    }


def _validation(error: ValidationException, names: Mapping[str, str]) -> tuple[str, Mapping[str, Any]]:
    """Litestar's list of what is wrong with parameters, as a sentence and the field it names."""
    faults = [fault for fault in error.extra or () if isinstance(fault, dict)]
    if not faults:
        return error.detail, {}
    key = str(faults[0].get("key", ""))
    field = names.get(key, key)
    if field == "data":
        return "This address needs a JSON body.", {}
    return f"{field}: {faults[0].get('message', '')}.", {"field": field}

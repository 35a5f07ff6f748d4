"""Hands services to handlers when the application is made, not with every request.

A handler names what it needs as parameters, ``users: NamedDependency[Users]``. Litestar's own injection
resolves them anew for each request, in a task group of their own: more than everything else it does for a
small answer. What never changes is bound here once; `principal` is the caller that the guard let in.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, get_type_hints

from litestar import Router
from litestar.handlers import HTTPRouteHandler

from core.http.requests import ApiRequest

PRINCIPAL = "principal"
REQUEST = "request"


def bind(routers: Iterable[Router], services: Mapping[str, object]) -> list[Router]:
    """The same routers, their handlers with the `services` that they name."""
    return [
        Router(
            router.path,
            route_handlers=[_bound_handler(handler, services) for handler in _handlers(router)],
            tags=router.tags,
        )
        for router in routers
    ]


def _handlers(router: Router) -> Iterable[HTTPRouteHandler]:
    for route in router.routes:
        for handler in getattr(route, "route_handlers", ()):
            # The framework answers OPTIONS by itself.
            if handler.http_methods != {"OPTIONS"}:
                yield handler


def _bound_handler(handler: HTTPRouteHandler, services: Mapping[str, object]) -> HTTPRouteHandler:
    return copy(handler)(_bound(handler.fn, services))


def _bound(fn: Callable[..., Any], services: Mapping[str, object]) -> Callable[..., Any]:
    parameters = inspect.signature(fn).parameters
    given = {name: services[name] for name in parameters if name in services}
    hints = get_type_hints(fn, include_extras=True)
    if not given and PRINCIPAL not in parameters:
        return fn
    left = [each for name, each in parameters.items() if name not in given and name != PRINCIPAL]
    asks_request = REQUEST in parameters

    if PRINCIPAL not in parameters:

        async def call(**arguments: Any) -> Any:
            return await fn(**arguments, **given)

    else:

        async def call(**arguments: Any) -> Any:
            request = arguments[REQUEST] if asks_request else arguments.pop(REQUEST)
            return await fn(**arguments, **given, principal=request.scope["auth"])

        if not asks_request:
            left.append(inspect.Parameter(REQUEST, inspect.Parameter.KEYWORD_ONLY, annotation=ApiRequest))

    by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in left]
    # What the framework reads of a handler.
    call.__name__ = call.__qualname__ = fn.__name__
    call.__module__ = fn.__module__
    call.__doc__ = fn.__doc__
    call.__annotations__ = {
        **{name: hint for name, hint in hints.items() if name not in given and name != PRINCIPAL},
        **({} if asks_request or PRINCIPAL not in parameters else {REQUEST: ApiRequest}),
    }
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362 allows it on any function
        by_name, return_annotation=hints.get("return", inspect.Signature.empty)
    )
    return call

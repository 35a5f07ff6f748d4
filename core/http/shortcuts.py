"""Plain reads without the framework's way to them.

A GET whose handler asks nothing of the request but who sends it (no parameters, no body) needs neither
routing by pattern nor validation. What is declared of it is kept here just the same, its answer is made by
the framework, and its description and its errors are those of every other.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive, Send

from core.http.binding import REQUEST
from core.http.etag import Ready
from core.http.permissions import declared, handlers, let_in
from core.http.requests import ApiRequest

Answer = Callable[[HTTPScope, Receive, Send], Awaitable[None]]


class Shortcuts:
    """An ASGI application that answers plain reads itself and leaves the rest to `app`."""

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._answers = {
            path: _answer(app, handler) for path, handler in handlers(app) if _is_plain(path, handler)
        }

    @property
    def paths(self) -> set[str]:
        """The addresses that are answered here."""
        return set(self._answers)

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request (ASGI)."""
        answer = self._answers.get(scope["path"]) if scope["method"] == "GET" else None
        if answer is not None:
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_plain(path: str, handler: HTTPRouteHandler) -> bool:
    return (
        handler.http_methods == {"GET"}
        and "{" not in path
        and {REQUEST}.issuperset(handler.parsed_fn_signature.parameters)
    )


def _answer(app: Litestar, handler: HTTPRouteHandler) -> Answer:
    declaration, fn = declared(handler), handler.fn
    takes_request = REQUEST in handler.parsed_fn_signature.parameters

    async def answer(scope: HTTPScope, receive: Receive, send: Send) -> None:
        let_in(declaration, scope)
        request: Any = ApiRequest(scope, receive, send)
        found = await (fn(request=request) if takes_request else fn())
        if isinstance(found, Ready):
            await found.send(scope, receive, send)
        else:
            await (await handler.to_response(app, found, request))(scope, receive, send)

    return answer

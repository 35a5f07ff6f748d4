"""Who may call a handler: declared once on each, kept by one guard, shown in the description.

::

    @get("/me", opt=may("user"), responses=fails())
    async def me(principal: NamedDependency[Principal]) -> Profile: ...

An application with a handler that declares nothing is not built.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_args

from litestar import Litestar
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from core.clock import Clock
from core.errors import Forbidden, Unauthenticated
from services.access import Who, admits
from services.tokens import Principal, Tokens

DECLARED: Final = "declared"
CALLER: Final = "caller"
REMEMBERED: Final = 10_000
_KNOWN = frozenset(get_args(Who))

#: Who calls: somebody known, nobody (None), or somebody with a token that is no good, and why.
Caller = Principal | Unauthenticated | None


class Declared(Struct, frozen=True):
    """What a handler says of itself: who may call it, and whether it heeds `Idempotency-Key`."""

    who: tuple[Who, ...]
    idempotent: bool = False

    @property
    def public(self) -> bool:
        """Whether it can be called without a token."""
        return "anyone" in self.who

    def admits(self, principal: Principal | None) -> bool:
        """Whether this caller is let in."""
        return admits(self.who, principal)


def may(*who: Who, idempotent: bool = False) -> dict[str, Any]:
    """The `opt` of a handler that only these may call.

    With `idempotent` a repeated request with the same `Idempotency-Key` is answered with what the
    first one was answered: only for handlers that need a token and answer with JSON that is no secret.

    Raises:
        ValueError: there is no such name, or none was given.
    """
    if not who or not _KNOWN.issuperset(who) or (idempotent and "anyone" in who):
        raise ValueError(f"no declaration of who may call: {who}")
    return {DECLARED: Declared(who, idempotent)}


def declared(handler: BaseRouteHandler) -> Declared:
    """What `handler` declared.

    Raises:
        LookupError: nothing.
    """
    found = handler.opt.get(DECLARED)
    if not isinstance(found, Declared):
        raise LookupError(f"{handler} does not declare who may call it")
    return found


def handlers(app: Litestar) -> Iterable[tuple[str, HTTPRouteHandler]]:
    """The path and handler of everything that can be called, but the framework's own answers to OPTIONS."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.http_methods != {"OPTIONS"}:
                yield route.path_format or "/", handler


def check_declarations(app: Litestar) -> None:
    """See to it that every handler of `app` declares who may call it.

    Raises:
        LookupError: naming one that does not.
    """
    for _, handler in handlers(app):
        declared(handler)


class Authority:
    """Finds out who calls, without asking anybody: the token says it.

    A token that was verified is remembered until it runs out, at most `REMEMBERED` of them; whether its
    session has ended is looked up each time.
    """

    def __init__(self, tokens: Tokens, check: Callable[[Principal], None], clock: Clock) -> None:
        """`check` raises `Unauthenticated` for what was good once and is no more."""
        self._tokens = tokens
        self._check = check
        self._clock = clock
        self._verified: dict[bytes, Principal] = {}

    def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sends a request with these headers, by its bearer token (RFC 6750 §2.1)."""
        authorization = headers.get(b"authorization")
        if authorization is None:
            return None
        try:
            principal = self._verified.get(authorization)
            if principal is None or principal.expires_at <= self._clock.now():
                principal = self._verify(authorization)
            if principal is not None:
                self._check(principal)
        except Unauthenticated as error:
            return error
        return principal

    def _verify(self, authorization: bytes) -> Principal | None:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        self._verified.pop(authorization, None)
        principal = self._tokens.verify(token.strip())
        if len(self._verified) >= REMEMBERED:
            del self._verified[next(iter(self._verified))]
        self._verified[authorization] = principal
        return principal


def caller(scope: Mapping[str, Any]) -> Caller:
    """Who sent the request of this scope."""
    found: Caller = scope["state"].get(CALLER)
    return found


def let_in(declaration: Declared, scope: Any) -> None:
    """See to it that `declaration` admits who sends the request; the principal is the scope's "auth".

    Raises:
        Unauthenticated: "token_missing", "token_invalid", "token_expired" or "token_revoked".
        Forbidden: "forbidden": the token is good, but not for this.
    """
    if declaration.public:
        return
    found = caller(scope)
    if found is None:
        raise Unauthenticated("token_missing", "This needs an access token: sign in first.")
    if isinstance(found, Unauthenticated):
        raise found
    if not declaration.admits(found):
        raise Forbidden("forbidden", "Your token does not serve for this.")
    scope["auth"] = found


def guard(app: ASGIApp) -> ASGIApp:
    """The layer around all handlers that lets in whom each admits.

    A layer of its own, because Litestar's guards cost a copy of the handler with every request.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        declaration = scope["route_handler"].opt.get(DECLARED)
        if declaration is None:
            await _answer_options(scope, send)
            return
        let_in(declaration, scope)
        await app(scope, receive, send)

    return guarded


async def _answer_options(scope: Any, send: Send) -> None:
    """What may be asked at this address: Litestar's own answer knows the first handler of it only."""
    template = scope["path_template"]
    methods = {"OPTIONS"}
    for path, handler in handlers(scope["litestar_app"]):
        if path == template:
            methods |= handler.http_methods
    allow = ", ".join(sorted(methods)).encode()
    await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow)]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})

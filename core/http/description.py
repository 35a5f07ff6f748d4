"""The OpenAPI document, as this process serves it."""

from collections.abc import Callable

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.di import NamedDependency

from core.http.etag import versioned
from core.http.openapi import describe
from core.http.permissions import may
from core.http.requests import ApiRequest

MEDIA_TYPE = "application/vnd.oai.openapi+json"


class Description:
    """The document of an application, made when somebody asks for it first."""

    def __init__(self, app: Callable[[], Litestar]) -> None:
        self._app = app
        self._body = b""

    def body(self) -> bytes:
        """The document."""
        if not self._body:
            self._body = msgspec.json.encode(describe(self._app()))
        return self._body


@get("/openapi.json", opt=may("anyone"), include_in_schema=False)
async def description(request: ApiRequest, description: NamedDependency[Description]) -> Response[bytes]:
    """What there is to call."""
    return versioned(request, description.body(), MEDIA_TYPE, "no-cache")


described = Router("/", route_handlers=[description])

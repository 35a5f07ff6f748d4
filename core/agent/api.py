"""The HTTP requests a node makes: sign in, enrol, find the workers, get a token."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx
import msgspec
from msgspec import Struct

from core.clock import Clock, to_ms
from core.errors import PulseboardError
from core.messages import enrol_bytes, token_bytes

T = TypeVar("T")
# Seconds between two questions whether a suspension has ended.
SUSPENDED_WAIT = 600.0
Sign = Callable[[bytes], bytes]


class Unreachable(PulseboardError):
    """The server did not answer, or not with anything we understand; later it may."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        #: Seconds the server asked to wait.
        self.retry_after = retry_after


class Suspended(Unreachable):
    """The server will not have this node until somebody has looked into it; the message says why."""


class Denied(PulseboardError):
    """The server said no; asking again the same way is of no use."""

    def __init__(self, status: int, code: str, detail: str, server_time: int | None = None) -> None:
        super().__init__(f"{detail.rstrip('.')} ({status} {code})" if code else f"{detail} ({status})")
        self.status = status
        self.code = code
        #: Milliseconds since the epoch, with "clock_skew".
        self.server_time = server_time


class ClientInfo(Struct):
    """Where the workers are: their address, or their port on the API's host. Intervals in seconds."""

    ws_port: int
    ws_url: str | None = None
    beat_interval: float | None = None


class NodeToken(Struct):
    """A node's access token, and when it ends by the server's clock."""

    access_token: str
    expires_at: datetime


class _SignedIn(Struct):
    access_token: str


class _Enrolled(Struct):
    node_id: UUID


class _Problem(Struct):
    code: str = ""
    detail: str = ""
    server_time: int | None = None


class Api:
    """The HTTP API of the Pulseboard at `server`, as a node sees it.

    All methods raise `Denied` for what the server refuses and `Unreachable` for what may pass.
    """

    def __init__(self, http: httpx.AsyncClient, server: str, clock: Clock) -> None:
        self._http = http
        self._url = httpx.URL(server)
        self._clock = clock
        self._skew_ms = 0
        self._signed_ms = 0

    async def sign_in(self, email: str, password: str) -> str:
        """A person's access token."""
        body = {"email": email, "password": password}
        return (await self._call("POST", "/auth/login", _SignedIn, body)).access_token

    async def enrol(self, token: str, public_key: bytes, name: str, sign: Sign) -> UUID:
        """Make the key a node of the person that `token` speaks for; the same key again is the same node."""
        body = {
            "public_key": _text(public_key),
            "name": name,
            "signature": _text(sign(enrol_bytes(subject(token), public_key))),
        }
        return (await self._call("POST", "/nodes", _Enrolled, body, token)).node_id

    async def client(self) -> ClientInfo:
        """What clients need to know to connect."""
        return await self._call("GET", "/client", ClientInfo)

    def workers_url(self, info: ClientInfo) -> str:
        """The WebSocket address that `info` means."""
        if info.ws_url:
            return info.ws_url
        scheme = "wss" if self._url.scheme == "https" else "ws"
        host = f"[{self._url.host}]" if ":" in self._url.host else self._url.host
        return f"{scheme}://{host}:{info.ws_port}/ws"

    async def node_token(self, node_id: UUID, sign: Sign) -> tuple[str, float]:
        """An access token for the node, and the seconds it lives.

        A local clock that is wrong is made up for: the server says its time, once.
        """
        try:
            token = await self._node_token(node_id, sign)
        except Denied as denied:
            if denied.code != "clock_skew" or denied.server_time is None:
                raise
            self._signed_ms = 0
            self._skew_ms = denied.server_time - to_ms(self._clock.now())
            token = await self._node_token(node_id, sign)
        return token.access_token, (to_ms(token.expires_at) - self._now_ms()) / 1000

    async def _node_token(self, node_id: UUID, sign: Sign) -> NodeToken:
        # A signature serves once and only for a later time than the one before.
        now = self._signed_ms = max(self._now_ms(), self._signed_ms + 1)
        body = {
            "node_id": str(node_id),
            "time_ms": now,
            "signature": _text(sign(token_bytes(node_id, now))),
        }
        return await self._call("POST", "/nodes/token", NodeToken, body)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now()) + self._skew_ms

    async def _call(
        self, method: str, path: str, kind: type[T], body: dict[str, Any] | None = None, token: str = ""
    ) -> T:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self._url.join(f"/api/v1{path}")
        try:
            response = await self._http.request(method, url, json=body, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            raise Unreachable(f"{url.host}: {str(error) or type(error).__name__}") from error
        if not response.is_success:
            raise _refusal(response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise Unreachable(f"{url}: the answer is not what a Pulseboard says: {error}") from error


def subject(token: str) -> UUID:
    """Whom an access or enrolment token speaks for, unverified: the server verifies it.

    Raises:
        Denied: it is no token.
    """
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return UUID(claims["sub"])
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise Denied(401, "token_invalid", "The enrolment token is not a token") from error


def _refusal(response: httpx.Response) -> Denied | Unreachable:
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    status = response.status_code
    detail = problem.detail or f"The server answered {status} to {response.url.path}"
    if problem.code == "node_suspended":
        return Suspended(detail, SUSPENDED_WAIT)
    # A clock that was set back catches up with the times it signed before.
    if status == 429 or status >= 500 or problem.code == "signature_used":
        wait = response.headers.get("Retry-After", "")
        return Unreachable(detail, float(wait) if wait.isdigit() else 0.0)
    return Denied(status, problem.code, detail, problem.server_time)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

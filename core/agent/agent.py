"""A node: enrols once, then stays connected and answers for as long as it runs."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from core.agent.api import Api, Denied, Suspended, Unreachable
from core.agent.connection import Connection, Ending, HandshakeRefused
from core.agent.identity import Identity
from core.agent.protocol import (
    Again,
    Dead,
    Event,
    Leave,
    Online,
    Reconnects,
    Refused,
    Session,
    Stop,
    TokenWanted,
    Traffic,
)
from core.clock import Clock, SystemClock
from core.errors import ConfigError, PulseboardError
from core.logs import get_logger
from core.version import version

BEAT_INTERVAL = 10.0
# A token with less than this left, in seconds, is not worth a connection.
TOKEN_MARGIN = 15.0

EnrolToken = Callable[[], Awaitable[str]]


class AgentStopped(PulseboardError):
    """The server will not have this node; coming back would change nothing."""


class Agent:
    """One node of the Pulseboard at `server`.

    `identity` is the file that keeps its key; `enrol_token` gives an enrolment or access token and
    is asked only while the node is not enrolled there yet. `http` makes the requests and stays the
    caller's; `tls` is used for ``wss``. Belongs to one event loop.
    """

    def __init__(
        self,
        server: str,
        identity: Path,
        *,
        name: str,
        http: httpx.AsyncClient,
        enrol_token: EnrolToken | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        reconnects: Reconnects | None = None,
    ) -> None:
        self._server = server.rstrip("/")
        self._identity_path = identity
        self._name = name
        self._enrol_token = enrol_token
        self._tls = tls
        self._api = Api(http, self._server, clock or SystemClock())
        self._reconnects = reconnects or Reconnects()
        self._traffic = Traffic()
        self._version = version()
        self._token = ""
        self._token_ends = 0.0
        self._url = ""
        self._beat_interval = BEAT_INTERVAL
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._log = get_logger("agent").bind(node=name)
        #: Set while the server holds this node as connected.
        self.online = asyncio.Event()

    async def run(self, delay: float = 0.0) -> None:
        """Wait `delay` seconds, enrol if need be, then stay connected until `stop`.

        Raises:
            AgentStopped: the server refuses the node for good.
            ConfigError: the identity cannot be used, or belongs to another server.
            StartupError: the identity's folder cannot be used.
        """
        await self._pause(delay)
        identity = Identity.load_or_create(self._identity_path, self._server)
        while not self._stopping.is_set():
            verdict = await self._unless_stopped(self._attempt(identity))
            if isinstance(verdict, Stop):
                raise AgentStopped(f"node {self._name}: {verdict.reason}")
            if verdict.fresh_token:
                self._token = ""
            await self._pause(verdict.delay)

    def stop(self) -> None:
        """Close the connection properly and let `run` return."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.close()

    async def _unless_stopped(self, attempt: Coroutine[Any, Any, Again | Stop]) -> Again | Stop:
        task = asyncio.create_task(attempt)
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if self._connection is None:
                task.cancel()
            await asyncio.wait({task})
        finally:
            stopped.cancel()
            task.cancel()
            await asyncio.wait({task})
        return Again(0) if task.cancelled() else task.result()

    async def _attempt(self, identity: Identity) -> Again | Stop:
        try:
            if identity.node_id is None or identity.server != self._server:
                await self._enrol(identity)
            await self._prepare(identity)
            return await self._connect(identity)
        except Suspended as error:
            verdict = self._reconnects.failed(at_least=error.retry_after)
            self._log.warning("suspended", reason=str(error), retry_in=round(verdict.delay))
            return verdict
        except Unreachable as error:
            self._traffic.errors += 1
            verdict = self._reconnects.failed(at_least=error.retry_after)
            self._log.warning("server unreachable", reason=str(error), retry_in=round(verdict.delay, 2))
            return verdict
        except Denied as error:
            return Stop(str(error))

    async def _enrol(self, identity: Identity) -> None:
        if self._enrol_token is None:
            if identity.node_id is None:
                raise ConfigError(f"node {self._name} is not enrolled: an enrolment token is needed")
            raise ConfigError(
                f"node {self._name} belongs to {identity.server}: to enrol it at {self._server} "
                "an enrolment token is needed"
            )
        token = await self._enrol_token()
        identity.node_id = await self._api.enrol(token, identity.public_key, self._name, identity.sign)
        identity.server = self._server
        identity.save()
        self._log.info("enrolled", node_id=str(identity.node_id), server=self._server)

    async def _prepare(self, identity: Identity) -> None:
        # Both are kept for as long as they serve: after a restart of the workers a crowd of nodes
        # comes back, and must not ask the API for anything.
        if not self._url:
            info = await self._api.client()
            self._url = self._api.workers_url(info)
            self._beat_interval = info.beat_interval or BEAT_INTERVAL
        if not self._token or asyncio.get_running_loop().time() > self._token_ends - TOKEN_MARGIN:
            await self._fetch_token(identity)

    async def _fetch_token(self, identity: Identity) -> None:
        if identity.node_id is None:
            raise ConfigError(f"node {self._name} is not enrolled")
        self._token, lives = await self._api.node_token(identity.node_id, identity.sign)
        self._token_ends = asyncio.get_running_loop().time() + lives

    async def _connect(self, identity: Identity) -> Again | Stop:
        if identity.node_id is None:
            raise ConfigError(f"node {self._name} is not enrolled")
        loop = asyncio.get_running_loop()
        session = Session(
            identity.sign,
            identity.node_id,
            beat_interval=self._beat_interval,
            version=self._version,
            traffic=self._traffic,
            now=loop.time(),
        )
        connection = Connection(session, self._traffic, lambda event: self._happened(event, identity))
        try:
            await connection.open(self._url, self._token, self._tls)
            self._connection = connection
            if self._stopping.is_set():
                connection.close()
            ending = await connection.ended
        except HandshakeRefused as error:
            return self._handshake_refused(error)
        finally:
            self.online.clear()
            self._connection = None
            connection.abort()
            await self._end_renewal()
        online_for = 0.0 if session.online_since is None else loop.time() - session.online_since
        return self._ended(ending, online_for)

    def _happened(self, event: Event, identity: Identity) -> None:
        match event:
            case Online(welcome=welcome):
                self._reconnects.accepted()
                self.online.set()
                self._log.info("online", worker=welcome.worker, session=str(welcome.session))
            case TokenWanted():
                if self._renewal is None or self._renewal.done():
                    self._renewal = asyncio.create_task(self._renew(identity))
            case Refused(code=code, detail=detail):
                self._log.warning("message refused", code=code, detail=detail)

    async def _renew(self, identity: Identity) -> None:
        # Without success the server ends the connection in time, which is dealt with there.
        pauses = Reconnects()
        while True:
            try:
                await self._fetch_token(identity)
            except Unreachable as error:
                self._log.warning("token not renewed", reason=str(error))
                await asyncio.sleep(pauses.failed(at_least=error.retry_after).delay)
                continue
            except Denied as error:
                self._log.warning("token not renewed", reason=str(error))
                return
            if self._connection is not None:
                self._connection.renew(self._token)
            return

    async def _end_renewal(self) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is not None:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal

    def _handshake_refused(self, error: HandshakeRefused) -> Again | Stop:
        self._traffic.errors += 1
        # The workers may have moved.
        self._url = ""
        if error.status == HTTPStatus.FORBIDDEN:
            return Stop(str(error))
        verdict: Again | Stop = (
            self._reconnects.unauthenticated()
            if error.status == HTTPStatus.UNAUTHORIZED
            else self._reconnects.failed()
        )
        if isinstance(verdict, Again):
            self._log.warning("not connected", reason=str(error), retry_in=round(verdict.delay, 2))
        return verdict

    def _ended(self, ending: Ending, online_for: float) -> Again | Stop:
        match ending.event:
            case Leave(after=after):
                self._log.info("told to come back", after=after)
                return self._reconnects.told(after)
            case Dead(silence=silence):
                self._traffic.errors += 1
                verdict: Again | Stop = self._reconnects.failed(online_for)
                self._log.warning("server silent", seconds=round(silence, 1))
                return verdict
        if self._stopping.is_set():
            self._log.info("left")
            return Again(0)
        verdict = self._reconnects.closed(ending.code, online_for)
        if isinstance(verdict, Again):
            self._log.warning("disconnected", code=ending.code, retry_in=round(verdict.delay, 2))
        return verdict

    async def _pause(self, delay: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stopping.wait()

"""The conversation with the clients of one worker: messages in, messages out.

The hub owns the sockets and tells of whole messages by a connection's handle; who is behind a handle
stands in the hub's table. What a client sends is decoded, given to one service or part, and answered;
anything that has to wait runs as a task and never holds the others up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from core import messages as m
from core.address import Proxies
from core.clock import Clock, new_id
from core.config import Config
from core.engine import permissions
from core.engine.front import make_hub
from core.engine.nodes import NodeConnections
from core.engine.permissions import check, check_declared
from core.engine.residents import Residents
from core.errors import (
    CloseCode,
    InvalidInput,
    NotFound,
    Refusal,
    StorageUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from core.logs import get_logger
from ext.frames import Message
from services.earnings import Earnings
from services.events import Envelope
from services.networks import Networks
from services.revocations import Revocations, Revoked, mark
from services.tokens import NODE, USER, Principal, Tokens
from storage.base import Presence, Record

# The channels' bits in the connection table.
ME = 1
NETWORK = 2
EPOCHS = 4
CHANNELS = {"me": ME, "network": NETWORK, "epoch": EPOCHS}

# All channels carry numbers that the database counts; there is one such count.
EPOCH = "1"

NOBODY = bytes(16)
MAX_STRIKES = 10
MAX_TASKS = 1000
PRESENCE_TTL = 60.0

log = get_logger("engine.gateway")


class Gateway:
    """Answers the clients of one worker.

    `record` takes what is observed of nodes at once; sums of it wait for whoever asks `nodes`.
    """

    def __init__(
        self,
        config: Config,
        *,
        worker_id: str,
        clock: Clock,
        tokens: Tokens,
        revocations: Revocations,
        earnings: Earnings,
        networks: Networks,
        presence: Presence,
        record: Callable[[Record], None],
    ) -> None:
        ws = config.ws
        self._config = config
        self._limits = m.Limits(ws.max_message, ws.max_subscriptions)
        self._worker_id = worker_id
        self._clock = clock
        self._tokens = tokens
        self._revocations = revocations
        self._earnings = earnings
        self._networks = networks
        self.hub = make_hub(self, ws)
        self.nodes = NodeConnections(
            settings=config.network,
            clock=clock,
            hub=self.hub,
            record=record,
            send=self._send,
            refuse=self._refuse,
        )
        self.residents = Residents(presence, worker_id, PRESENCE_TTL)
        self._open = 0
        # Connections that have not said yet who they are.
        self._strangers: set[int] = set()
        # What came with the requests of strangers that a proxy let through.
        self._forwarded: dict[int, Sequence[str]] = {}
        self._proxies = Proxies(config.http.trusted_proxies)
        self._strikes: dict[int, int] = {}
        self._tasks: dict[int, set[asyncio.Task[None]]] = {}
        self._running = 0
        # Connections whose snapshot of `me` is on its way, with the newest event that came meanwhile.
        self._joining: dict[int, Envelope | None] = {}
        # What was told to everybody last, by channel.
        self._newest: dict[int, Envelope] = {}
        self._answers: dict[type, Callable[[int, Any], None]] = {
            m.Auth: self._take_auth,
            m.Beat: self.nodes.beat,
            m.Call: self._take_call,
            m.ChallengeReply: self.nodes.reply,
            m.Ping: self._take_ping,
            m.Subscribe: self._subscribe,
            m.Unsubscribe: self._unsubscribe,
        }
        self._methods: dict[str, Callable[[UUID, dict[str, Any]], Awaitable[Any]]] = {
            "me.overview": self._call_overview,
            "network.summary": self._call_summary,
        }
        check_declared(self._methods, CHANNELS)
        # Set whenever the last connection has gone.
        self.emptied = asyncio.Event()
        self.closed_by_code: dict[int, int] = {}
        self.refused_messages = 0

    def __len__(self) -> int:
        """How many connections there are."""
        return self._open

    # --- the hub tells --------------------------------------------------------------------------

    def on_open(self, handle: int, token: str | None, forwarded: Sequence[str] = ()) -> None:
        """A connection was upgraded; `token` came with the handshake, if it did.

        `forwarded` are the values of X-Forwarded-For, believed only from a trusted proxy.
        """
        self._open += 1
        self._strangers.add(handle)
        if forwarded:
            self._forwarded[handle] = forwarded
        if token is not None:
            self._authenticate(handle, token)

    def on_message(self, handle: int, payload: bytes, binary: bool) -> None:
        """Decode and answer one message."""
        try:
            message = _decode(payload, binary)
            if handle in self._strangers and not isinstance(message, m.Auth):
                raise Unauthenticated("unauthenticated", "Send `auth` first.")
            self._answers[type(message)](handle, message)
        except Refusal as refusal:
            self._refuse(handle, refusal)

    def on_closed(self, handle: int, code: int) -> None:
        """Forget the connection."""
        self.closed_by_code[code] = self.closed_by_code.get(code, 0) + 1
        if log.debugging:
            log.debug("connection closed", connection=self._connection(handle), code=code)
        self._strangers.discard(handle)
        self._forwarded.pop(handle, None)
        self.nodes.closed(handle, code)
        self._strikes.pop(handle, None)
        self._leave_me(handle)
        for task in self._tasks.get(handle, ()):
            task.cancel()
        self._open -= 1
        if self._open == 0:
            self.emptied.set()

    def on_alarm(self, handle: int) -> None:
        """Only nodes set alarms."""
        self.nodes.on_alarm(handle)

    def on_expiring(self, handle: int) -> None:
        """Ask for a fresh token."""
        left = timedelta(milliseconds=self.hub.expires_in_ms(handle))
        self._send(handle, m.TokenExpiring(self._clock.now() + left))

    def on_failure(self, handle: int, error: Exception) -> None:
        """A bug: the connection ends, the worker goes on."""
        log.error("connection failed", connection=self._connection(handle), exc_info=error)

    # --- the bus tells --------------------------------------------------------------------------

    def on_events(self, envelopes: list[Envelope]) -> None:
        """Pass events on to the connections they are for, in order."""
        broadcast: list[tuple[int, Message]] = []
        for envelope in envelopes:
            channel = CHANNELS.get(envelope.channel)
            if channel is None:
                continue
            event = m.Event(envelope.channel, envelope.offset, envelope.data)
            message = Message(event, m.json_encode, m.msgpack_encode, self._config.ws.compress_above)
            if envelope.user is None:
                self._newest[channel] = envelope
                broadcast.append((channel, message))
                continue
            self.hub.send_user(envelope.user.bytes, channel, message)
            for handle in self._joining:
                if self._user(handle) == envelope.user:
                    self._joining[handle] = envelope
        if broadcast:
            self.hub.broadcast(broadcast)

    def on_revoked(self, revoked: Revoked) -> None:
        """Sessions or nodes ended: close the connections that came from them."""
        user = revoked.user_id.bytes if revoked.user_id else None
        handles = self.hub.table.of_sign_ins(revoked.sessions, user)
        if user and (revoked.nodes or revoked.node_ids):
            ended = {node_id.bytes for node_id in revoked.node_ids}
            handles += [
                handle
                for handle in self.hub.table.of_user(user)
                if (revoked.nodes and self._is_node(handle)) or self._node(handle) in ended
            ]
        for handle in handles:
            self.hub.close(handle, CloseCode.REVOKED, "session ended")

    # --- authentication -------------------------------------------------------------------------

    def _authenticate(self, handle: int, token: str) -> None:
        """Bind the connection to whom the token speaks for, or prolong a binding to the same."""
        try:
            principal = self._tokens.verify(token, USER, NODE)
            self._revocations.check(principal)
        except Unauthenticated as error:
            code = CloseCode.REVOKED if error.code == "token_revoked" else CloseCode.UNAUTHENTICATED
            self.hub.close(handle, code, error.code)
            return
        now = self._clock.now()
        expires_ms = self.hub.now_ms() + _ms((principal.expires_at - now).total_seconds())
        node = principal.node_id.bytes if principal.node_id else NOBODY
        sign_in = mark(principal.session_id) if principal.session_id else 0
        new = handle in self._strangers
        forwarded = self._forwarded.pop(handle, ())
        if not new:
            session_id = self._renew(handle, principal, node, expires_ms, sign_in)
        else:
            self._strangers.discard(handle)
            session_id = new_id()
            self.hub.bind(handle, principal.user_id.bytes, node, session_id.bytes, expires_ms, sign_in)
            if log.debugging:
                log.debug(
                    "connection opened",
                    connection=str(session_id),
                    user=str(principal.user_id),
                    node=str(principal.node_id) if principal.node_id else None,
                    address=self._proxies.client(self.hub.peer(handle), forwarded),
                )
        if session_id is None:
            return
        interval = self._config.ws.ping_interval
        self._send(
            handle, m.Welcome(session_id, self._worker_id, now, interval, principal.expires_at, self._limits)
        )
        if new and principal.node_id and principal.public_key:
            address = self._proxies.client(self.hub.peer(handle), forwarded)
            self.nodes.opened(handle, principal.node_id, session_id, principal.public_key, address)

    def _renew(
        self, handle: int, principal: Principal, node: bytes, expires_ms: int, sign_in: int
    ) -> UUID | None:
        identity = self.hub.table.identity(handle)
        if identity is None:
            return None
        if identity[:2] != (principal.user_id.bytes, node):
            self.hub.close(handle, CloseCode.UNAUTHENTICATED, "the token is somebody else's")
            return None
        self.hub.renew(handle, expires_ms, sign_in)
        return UUID(bytes=identity[2])

    def _connection(self, handle: int) -> str:
        """The connection's id in logs: its session, or its place in the table before it has one."""
        identity = self.hub.table.identity(handle)
        return str(UUID(bytes=identity[2])) if identity else f"#{handle & 0xFFFFFFFF}"

    def _user(self, handle: int) -> UUID | None:
        identity = self.hub.table.identity(handle)
        return UUID(bytes=identity[0]) if identity else None

    # --- messages -------------------------------------------------------------------------------

    def _take_auth(self, handle: int, message: m.Auth) -> None:
        self._authenticate(handle, message.token)

    def _take_ping(self, handle: int, message: m.Ping) -> None:
        self._send(handle, m.Pong(self._clock.now()))

    def _take_call(self, handle: int, message: m.Call) -> None:
        self._start(handle, self._call(handle, message), message.id)

    def _subscribe(self, handle: int, message: m.Subscribe) -> None:
        channel = _channel(message.channel)
        check(permissions.CHANNELS[message.channel], is_node=self._is_node(handle))
        if channel != ME:
            self._start(handle, self._join_all(handle, message, channel))
            return
        user_id = self._user(handle)
        if user_id is None:
            return  # it closed meanwhile
        if not self._has_room():
            raise _busy()
        if handle not in self._joining:
            joined = self.hub.channels(handle) & ME
            announced = None if joined else self.residents.enter(user_id)
            self._joining[handle] = None
            self._start(handle, self._join_me(handle, message, user_id, announced))

    def _unsubscribe(self, handle: int, message: m.Unsubscribe) -> None:
        channel = _channel(message.channel)
        if channel == ME:
            self._leave_me(handle)
        self.hub.unsubscribe(handle, channel)

    async def _join_me(
        self, handle: int, message: m.Subscribe, user_id: UUID, announced: Awaitable[None] | None
    ) -> None:
        """Announce the user here, then read the state: whatever changes after that reaches us."""
        try:
            if announced is not None:
                await announced
            overview = await self._earnings.overview(user_id)
        except Exception:
            self._leave_me(handle)
            raise
        if handle not in self._joining:
            return  # it unsubscribed meanwhile
        newer = self._joining.pop(handle)
        self.hub.subscribe(handle, ME)
        self._welcome_to(handle, message, overview.revision, overview)
        if newer is not None and newer.offset > overview.revision:
            self._send(handle, m.Event("me", newer.offset, newer.data))

    def _leave_me(self, handle: int) -> None:
        """Undo what joining `me` did, however far it got."""
        if handle not in self._joining and not self.hub.channels(handle) & ME:
            return
        self._joining.pop(handle, None)
        self.hub.unsubscribe(handle, ME)
        user_id = self._user(handle)
        if user_id is not None:
            self.residents.leave(user_id)

    async def _join_all(self, handle: int, message: m.Subscribe, channel: int) -> None:
        """Join what is the same for everybody: from the newest that is known here, or else is stored."""
        offset, data = (0, None) if channel in self._newest else await self._read_newest(channel)
        if (newest := self._newest.get(channel)) is not None:
            offset, data = newest.offset, newest.data
        self.hub.subscribe(handle, channel)
        self._welcome_to(handle, message, offset, data)

    async def _read_newest(self, channel: int) -> tuple[int, Any]:
        if channel == EPOCHS:
            epoch = await self._earnings.newest_closed()
            return (epoch.number, epoch) if epoch else (0, None)
        summary = await self._networks.summary()
        return summary.revision, summary

    def _welcome_to(self, handle: int, message: m.Subscribe, offset: int, data: Any) -> None:
        """Confirm a subscription; who has seen `offset` already has missed nothing."""
        recovered = message.offset == offset and message.epoch == EPOCH
        self._send(handle, m.Subscribed(message.channel, offset, EPOCH, recovered))
        if not recovered:
            self._send(handle, m.Snapshot(message.channel, offset, data))

    async def _call(self, handle: int, call: m.Call) -> None:
        method = self._methods.get(call.method)
        user_id = self._user(handle)
        if method is None:
            raise NotFound("unknown_method", "There is no such method.")
        check(permissions.METHODS[call.method], is_node=self._is_node(handle))
        if user_id is None:
            return  # it closed meanwhile
        self._send(handle, m.Result(call.id, await method(user_id, call.params)))

    async def _call_overview(self, user_id: UUID, params: dict[str, Any]) -> m.Overview:
        _no_params(params)
        return await self._earnings.overview(user_id)

    async def _call_summary(self, user_id: UUID, params: dict[str, Any]) -> m.NetworkSummary:
        _no_params(params)
        return await self._networks.summary()

    def _is_node(self, handle: int) -> bool:
        return self._node(handle) not in (None, NOBODY)

    def _node(self, handle: int) -> bytes | None:
        """The id of the node behind a connection; `NOBODY` for a person."""
        identity = self.hub.table.identity(handle)
        return identity and identity[1]

    # --- answers --------------------------------------------------------------------------------

    def _send(self, handle: int, message: m.ServerMessage) -> None:
        encode = m.msgpack_encode if self.hub.is_binary(handle) else m.json_encode
        self.hub.send(handle, encode(message))

    def _refuse(self, handle: int, refusal: Refusal, call_id: int | None = None) -> None:
        """Say what is wrong; who keeps at it, or never said who they are, is let go."""
        self.refused_messages += 1
        error = m.Error(refusal.code, refusal.detail)
        if call_id is not None:
            error.id = call_id
        self._send(handle, error)
        if handle in self._strangers:
            self.hub.close(handle, CloseCode.UNAUTHENTICATED, refusal.code)
            return
        if isinstance(refusal, TooManyRequests):
            return  # the client did nothing wrong
        self._strikes[handle] = self._strikes.get(handle, 0) + 1
        if self._strikes[handle] >= MAX_STRIKES:
            self.hub.close(handle, CloseCode.BAD_MESSAGE, "too many bad messages")

    def _has_room(self) -> bool:
        return self._running < MAX_TASKS

    def _start(self, handle: int, work: Coroutine[Any, Any, None], call_id: int | None = None) -> None:
        """Run `work` for a connection; it is cancelled with the connection."""
        if not self._has_room():
            work.close()
            self._refuse(
                handle, TooManyRequests("busy", "Too many requests are under way; try again."), call_id
            )
            return
        task = asyncio.get_running_loop().create_task(self._guard(handle, work, call_id))
        self._running += 1
        self._tasks.setdefault(handle, set()).add(task)
        task.add_done_callback(lambda done: self._finished(handle, done))

    def _finished(self, handle: int, task: asyncio.Task[None]) -> None:
        self._running -= 1
        tasks = self._tasks[handle]
        tasks.discard(task)
        if not tasks:
            del self._tasks[handle]

    async def _guard(self, handle: int, work: Coroutine[Any, Any, None], call_id: int | None) -> None:
        try:
            await work
        except Refusal as refusal:
            self._refuse(handle, refusal, call_id)
        except StorageUnavailable:
            self._send(handle, _error("unavailable", "The service is away for a moment; try again.", call_id))
        except Exception as error:
            self.on_failure(handle, error)
            self.hub.close(handle, CloseCode.INTERNAL_ERROR, "internal error")

    def say_goodbye(self, handle: int, after_ms: int) -> None:
        """Ask a client to leave and come back after `after_ms`."""
        self.nodes.told_to_leave(handle)
        self._send(handle, m.Reconnect(after_ms))


def _decode(payload: bytes, binary: bool) -> m.AnyClientMessage:
    decode = m.msgpack_decode_client if binary else m.json_decode_client
    try:
        message: m.AnyClientMessage = decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidInput("bad_message", str(error)[:200]) from error
    return message


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _channel(name: str) -> int:
    try:
        return CHANNELS[name]
    except KeyError:
        raise NotFound("unknown_channel", "There is no such channel.") from None


def _no_params(params: dict[str, Any]) -> None:
    if params:
        raise InvalidInput("bad_params", "This method takes no parameters.")


def _busy() -> TooManyRequests:
    return TooManyRequests("busy", "Too many requests are under way; try again.")


def _error(code: str, detail: str, call_id: int | None) -> m.Error:
    return m.Error(code, detail) if call_id is None else m.Error(code, detail, call_id)

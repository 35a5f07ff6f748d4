"""People and nodes for locust: `locust -f bench/locustfile.py --host http://…`, or `make bench-locust`.

An owner signs up, opens the link of the mail, signs in, loads the page and keeps a WebSocket open like a
browser; a node enrols, beats and answers its challenges. WebSockets live in a native thread (see
`bench.bridge`).

The system writes its mails into the folder that ``BENCH_MAIL`` names, and believes X-Forwarded-For from
here (`http.trusted_proxies`): everybody comes from an address of their own, as real people do.
"""

import base64
import itertools
import os
import re
import secrets
import time
from collections.abc import Coroutine
from email import message_from_bytes, policy
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import UUID

import gevent
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from locust import HttpUser, between, constant_pacing, events, task
from locust.exception import StopUser

from bench.bridge import Message, Socket, SocketLost, Thread
from core.messages import challenge_bytes, enrol_bytes, token_bytes

API = "/api/v1"
PASSWORD = "a long enough password"
BEAT_SECONDS = float(os.environ.get("BEAT_SECONDS", "5"))
NODES_TO_AN_OWNER = 20
MAIL_SECONDS = 20.0
# Addresses for documentation of benchmarks (RFC 2544), 131,072 of them.
FIRST_ADDRESS = IPv4Address("198.18.0.1")
# No two runs share an address, so that one can follow the other on the same system.
RUN = secrets.token_hex(4)

numbers = itertools.count(1)


class Wire:
    """The native thread of this process, started when it is first needed."""

    thread: ClassVar[Thread | None] = None

    @classmethod
    def do(cls, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` in the thread and wait for its result."""
        if cls.thread is None:
            cls.thread = Thread()
        return cls.thread.do(work)

    @classmethod
    def stop(cls) -> None:
        """End the thread, if there is one."""
        if cls.thread is not None:
            cls.thread.stop()


class Mailbox:
    """The tokens of the links that were mailed, by recipient."""

    folder = Path(os.environ.get("BENCH_MAIL", "."))
    seen: ClassVar[set[str]] = set()
    tokens: ClassVar[dict[str, str]] = {}

    @classmethod
    def token(cls, recipient: str) -> str:
        """The token mailed to `recipient`; empty if none comes in time."""
        deadline = time.monotonic() + MAIL_SECONDS
        while recipient not in cls.tokens and time.monotonic() < deadline:
            cls.empty()
            gevent.sleep(0.1)
        return cls.tokens.pop(recipient, "")

    @classmethod
    def empty(cls) -> None:
        """Read what has come."""
        for path in cls.folder.glob("*.eml"):
            if path.name in cls.seen:
                continue
            cls.seen.add(path.name)
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            body = mail.get_body(("plain",))
            found = re.search(r"#/verify\?token=([\w-]+)", body.get_content() if body else "")
            if found:
                cls.tokens[mail["To"]] = found[1]


class Person(HttpUser):
    """Somebody with an account and a WebSocket."""

    abstract = True
    socket: Socket | None = None
    token = ""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.client.headers["X-Forwarded-For"] = str(FIRST_ADDRESS + next(numbers))

    def sign_in(self, email: str) -> None:
        """Get an access token."""
        body = {"email": email, "password": PASSWORD, "cookie": False}
        with self.client.post(f"{API}/auth/login", json=body, catch_response=True) as answer:
            if not answer.ok:
                answer.failure(f"{answer.status_code}")
                raise StopUser
            self.token = answer.json()["access_token"]

    def sign_up(self) -> str:
        """Make an account, by the link that comes by mail; returns its address."""
        email = f"owner-{RUN}-{next(numbers)}@example.com"
        self.client.post(f"{API}/auth/register", json={"email": email, "password": PASSWORD})
        self.client.post(f"{API}/auth/verify-email", json={"token": Mailbox.token(email)})
        return email

    @property
    def bearer(self) -> dict[str, str]:
        """The header that says who we are."""
        return {"Authorization": f"Bearer {self.token}"}

    def ws_url(self) -> str:
        """Where the workers are."""
        client = self.client.get(f"{API}/client").json()
        return str(client.get("ws_url") or f"ws://{urlsplit(self.host).hostname}:{client['ws_port']}/ws")

    def measured(self, name: str, work: Coroutine[Any, Any, tuple[Any, float]]) -> Any:
        """Do something over the WebSocket and report how long it took; None if it failed."""
        result, elapsed, error = None, 0.0, None
        began = time.perf_counter()
        try:
            result, elapsed = Wire.do(work)
        except Exception as failure:  # whatever it is, it belongs into the report
            error, elapsed = failure, (time.perf_counter() - began) * 1e3
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=elapsed,
            response_length=0,
            exception=error,
            context={},
        )
        return result

    def fresh_token(self) -> str:
        """A new access token."""
        raise NotImplementedError

    def connect(self) -> None:
        """Open the WebSocket, and subscribe if that is wanted."""
        raise NotImplementedError

    def living(self) -> Socket:
        """The WebSocket, with a valid token; opened again if the server asked for that, or it was lost.

        Raises:
            StopUser: it could not be opened; that was reported.
        """
        socket = self.socket
        if socket is not None and socket.lost and not socket.told_to_leave:
            self.environment.events.request.fire(
                request_type="WS",
                name="stay connected",
                response_time=0,
                response_length=0,
                exception=SocketLost(socket.lost),
                context={},
            )
        if socket is None or socket.lost or socket.told_to_leave:
            if socket is not None:
                Wire.do(socket.close())
            self.connect()
            socket = self.socket
        if socket is None:
            raise StopUser
        if socket.expiring:
            socket.expiring = False
            Wire.do(socket.say({"type": "auth", "token": self.fresh_token()}))
        return socket

    def on_stop(self) -> None:
        """Leave the WebSocket."""
        if self.socket is not None:
            Wire.do(self.socket.close())


class Owner(Person):
    """Somebody who looks at the dashboard."""

    weight = 1
    wait_time = between(1, 5)

    def on_start(self) -> None:
        """Open the page, sign in, subscribe."""
        self.client.get("/", name="page")
        self.email = self.sign_up()
        self.fresh_token()
        self.living()

    def fresh_token(self) -> str:
        self.sign_in(self.email)
        return self.token

    def connect(self) -> None:
        self.socket = self.measured("connect", Socket.open(self.ws_url(), self.token, binary=False))
        if self.socket is not None:
            for channel in ("me", "network"):
                message = {"type": "subscribe", "channel": channel}
                self.measured(f"subscribe {channel}", self.socket.ask(message, f"subscribed {channel}"))

    @task(5)
    def look(self) -> None:
        """Ask for the overview."""
        number = next(numbers)
        message = {"type": "call", "id": number, "method": "me.overview"}
        self.measured("call me.overview", self.living().ask(message, f"result {number}"))

    @task(3)
    def ping(self) -> None:
        """Show that the page is alive."""
        self.measured("ping", self.living().ask({"type": "ping"}, "pong"))

    @task(2)
    def list_nodes(self) -> None:
        """Look through the nodes."""
        self.living()
        self.client.get(f"{API}/nodes", headers=self.bearer)

    @task(1)
    def reload(self) -> None:
        """Load the page again."""
        self.living()
        self.client.get("/", name="page")
        self.client.get(f"{API}/me/overview", headers=self.bearer)


class Node(Person):
    """A machine that is online."""

    weight = 4
    wait_time = constant_pacing(BEAT_SECONDS)
    # The access token of the person who owns the next nodes, and how many that person has.
    owner: ClassVar[tuple[str, int]] = ("", 0)

    def on_start(self) -> None:
        """Enrol and connect."""
        gevent.sleep(secrets.randbelow(1000) / 1000 * BEAT_SECONDS)
        self.key = Ed25519PrivateKey.generate()
        self.node_id = self.enrol(self.key)
        self.living()

    def fresh_token(self) -> str:
        now = int(time.time() * 1000)
        body = {
            "node_id": str(self.node_id),
            "time_ms": now,
            "signature": _text(self.key.sign(token_bytes(self.node_id, now))),
        }
        return str(self.client.post(f"{API}/nodes/token", json=body).json()["access_token"])

    def connect(self) -> None:
        work = Socket.open(self.ws_url(), self.fresh_token(), binary=True, sign=self.answer)
        self.socket = self.measured("connect", work)

    def answer(self, nonce: bytes, session: str) -> Message:
        """Sign a challenge; runs in the native thread."""
        signature = self.key.sign(challenge_bytes(nonce, self.node_id, UUID(session)))
        return {"type": "challenge_reply", "nonce": nonce, "signature": signature}

    def enrol(self, key: Ed25519PrivateKey) -> UUID:
        """Become a node of somebody with less than `NODES_TO_AN_OWNER` of them."""
        token, count = Node.owner
        if not token or count >= NODES_TO_AN_OWNER:
            self.sign_in(self.sign_up())
            token, count = self.token, 0
        Node.owner = (token, count + 1)
        self.token = token
        user_id = UUID(self.client.get(f"{API}/me", headers=self.bearer).json()["user_id"])
        public = key.public_key().public_bytes_raw()
        body = {
            "public_key": _text(public),
            "name": f"node-{next(numbers)}",
            "signature": _text(key.sign(enrol_bytes(user_id, public))),
        }
        return UUID(self.client.post(f"{API}/nodes", json=body, headers=self.bearer).json()["node_id"])

    @task
    def beat(self) -> None:
        """Report, and see that the worker still answers."""
        socket = self.living()
        report = {
            "type": "beat",
            "bytes_up": secrets.randbelow(1 << 20),
            "bytes_down": secrets.randbelow(1 << 20),
            "errors": 0,
            "agent_version": "1.0.0",
        }
        self.measured("beat", _beat(socket, report))


async def _beat(socket: Socket, report: Message) -> tuple[Message, float]:
    # A beat has no answer: what comes behind it has, and says that it was handled.
    await socket.say(report)
    return await socket.ask({"type": "ping"}, "pong")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@events.quitting.add_listener
def _end_thread(environment: Any, **_: Any) -> None:
    Wire.stop()


@events.init.add_listener
def _check_loopback(environment: Any, **_: Any) -> None:
    host = urlsplit(environment.host or "").hostname or ""
    if host != "localhost" and not host.startswith("127."):
        raise SystemExit("this is for a system on a loopback address: --host http://127.0.0.1:PORT")

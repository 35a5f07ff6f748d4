"""A node of a fleet: its key, its connections, and the ways in which nodes answer challenges."""

import asyncio
import random
from typing import Any
from uuid import UUID

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.fleet.line import Line, Respond, middle_of_a_second, now_ms
from support.fleet.truth import Link

from core.messages import challenge_bytes, enrol_bytes, token_bytes

# Bytes that an ordinary node moves in the time between two beats, at most.
ORDINARY_BYTES = 5_000
BEAT_INTERVAL = 1.0


class Owner:
    """A person with nodes, and their access to the API."""

    def __init__(self, api: httpx.AsyncClient, user_id: UUID, token: str) -> None:
        self.api = api
        self.user_id = user_id
        self.token = token

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """What the API answers to them."""
        return await self._ask("GET", path, params=params)

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change something by the API."""
        return await self._ask("PUT", path, json=body)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do something by the API."""
        return await self._ask("POST", path, json=body)

    async def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = await self.api.request(method, f"/api/v1{path}", headers=headers, **request)
        assert answer.is_success, answer.text
        return dict(answer.json())


class FleetNode:
    """One node; `role` says how it behaves, `links` what it did."""

    def __init__(self, role: str, address: str, rng: random.Random, *, challenge_timeout: float) -> None:
        self.role = role
        self.address = address
        self.rng = rng
        self.version = f"1.{rng.randrange(100)}.0"
        self.key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self.links: list[Link] = []
        self.lines: list[Line] = []
        self.timeout = challenge_timeout
        self._node_id: UUID | None = None
        self._owner: Owner | None = None
        self._token = ""

    @property
    def node_id(self) -> UUID:
        """Its id, once enrolled."""
        assert self._node_id is not None
        return self._node_id

    @property
    def owner(self) -> Owner:
        """Whose it is, once enrolled."""
        assert self._owner is not None
        return self._owner

    async def enrol(self, owner: Owner) -> None:
        """Become a node of `owner`, with a token to connect."""
        public = self.key.public_key().public_bytes_raw()
        body = {
            "public_key": _text(public),
            "name": self.role,
            "signature": _text(self.key.sign(enrol_bytes(owner.user_id, public))),
        }
        enrolled = await owner.post("/nodes", body)
        self._owner, self._node_id = owner, UUID(enrolled["node_id"])
        await self.renew_token()

    async def renew_token(self) -> None:
        """Get a fresh token, as an agent does that starts anew."""
        answer = await self.ask_token()
        assert answer.status_code == 200, answer.text
        self._token = answer.json()["access_token"]

    async def ask_token(self) -> httpx.Response:
        """What the server says to a request for a fresh token."""
        time_ms = now_ms()
        signature = _text(self.key.sign(token_bytes(self.node_id, time_ms)))
        body = {"node_id": str(self.node_id), "time_ms": time_ms, "signature": signature}
        return await self.owner.api.post("/api/v1/nodes/token", json=body)

    async def connect(self, port: int, respond: Respond | None = None, *, address: str = "") -> Line:
        """A new connection, on which challenges are answered by `respond`: honestly, unless said."""
        line = await Line.open(
            port,
            token=self._token,
            address=address or self.address,
            version=self.version,
            respond=respond or self.honestly,
        )
        self.links.append(line.link)
        self.lines.append(line)
        line.beside(self._beat(line))
        return line

    def sign(self, nonce: bytes, line: Line, key: Ed25519PrivateKey | None = None) -> bytes:
        """The signature that answers the challenge `nonce` on `line`; by another `key` it is wrong."""
        return (key or self.key).sign(challenge_bytes(nonce, self.node_id, line.link.connection))

    async def _beat(self, line: Line) -> None:
        while True:
            line.beat(self.rng.randrange(ORDINARY_BYTES), self.rng.randrange(ORDINARY_BYTES))
            await asyncio.sleep(BEAT_INTERVAL)

    # --- ways to answer ---------------------------------------------------------------------------

    async def honestly(self, line: Line, nonce: bytes) -> None:
        """Sign what was sent, in time."""
        await middle_of_a_second()
        line.answer(nonce, self.sign(nonce, line))

    async def never(self, line: Line, nonce: bytes) -> None:
        """Say nothing."""
        await self._let_pass(line)

    async def with_a_wrong_key(self, line: Line, nonce: bytes) -> None:
        """Sign with a key that is not the node's."""
        line.cheat(nonce, self.sign(nonce, line, Ed25519PrivateKey.generate()))
        line.missed()

    async def twice(self, line: Line, nonce: bytes) -> None:
        """Sign honestly, and send it again."""
        await self.honestly(line, nonce)
        line.cheat(nonce, self.sign(nonce, line))

    async def too_late(self, line: Line, nonce: bytes) -> None:
        """Sign honestly, after the deadline."""
        signature = self.sign(nonce, line)
        await self._let_pass(line)
        line.cheat(nonce, signature)

    def then(self, *, honest: int, other: Respond) -> Respond:
        """Be honest that many times, then answer as `other` does."""
        left = honest

        async def respond(line: Line, nonce: bytes) -> None:
            nonlocal left
            left -= 1
            await (self.honestly if left >= 0 else other)(line, nonce)

        return respond

    def now_and_then(self, other: Respond, every: int) -> Respond:
        """Be honest, but for one in `every` challenges."""
        count = 0

        async def respond(line: Line, nonce: bytes) -> None:
            nonlocal count
            count += 1
            await (other if count % every == 0 else self.honestly)(line, nonce)

        return respond

    def replaying(self) -> Respond:
        """Answer one challenge, and send that answer again to all that follow.

        The one before it goes by, so that not even the answer that is right confirms any time.
        """
        kept: list[tuple[bytes, bytes]] = []
        began = False

        async def respond(line: Line, nonce: bytes) -> None:
            nonlocal began
            if not began:
                began = True
                await self._let_pass(line)
            elif not kept:
                kept.append((nonce, self.sign(nonce, line)))
                line.answer(*kept[0])
            else:
                line.cheat(*kept[0])
                await self._let_pass(line)

        return respond

    def with_the_nonces_of(self, other: Line, nonces: list[bytes]) -> Respond:
        """Answer with what was asked on `other`, another connection of this node."""

        async def respond(line: Line, nonce: bytes) -> None:
            line.cheat(nonces[-1] if nonces else bytes(32), self.sign(nonce, other))
            await self._let_pass(line)

        return respond

    def by(self, other: "FleetNode") -> Respond:
        """Let `other` answer, as itself."""

        async def respond(line: Line, nonce: bytes) -> None:
            signed = challenge_bytes(nonce, other.node_id, line.link.connection)
            line.cheat(nonce, other.key.sign(signed))
            line.missed()

        return respond

    def seen(self, respond: Respond, nonces: list[bytes]) -> Respond:
        """Answer by `respond`, and keep the nonces."""

        async def keeping(line: Line, nonce: bytes) -> None:
            nonces.append(nonce)
            await respond(line, nonce)

        return keeping

    async def _let_pass(self, line: Line) -> None:
        """Wait until the deadline is over by far."""
        await asyncio.sleep(self.timeout + 0.3)
        line.missed()


def _text(data: bytes) -> str:
    """As in JSON: msgspec writes bytes as base64."""
    return str(msgspec.to_builtins(data))

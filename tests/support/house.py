"""The services over memory adapters or others, with a clock that stands still."""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.stores import Stores, memory_stores

from core.clock import ManualClock, to_ms
from core.messages import enrol_bytes, token_bytes
from services.earnings import Earnings
from services.networks import Networks
from services.passwords import Passwords
from services.tokens import Tokens
from services.users import Users
from storage.base import Node, User
from storage.memory import MemoryDatabase

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "a secret of at least thirty-two characters"
PASSWORD = "correct horse battery"
ACCESS_TTL = 600
REFRESH_TTL = 3600
RATE = 1_000_000


class House:
    """Everything that tests of services and handlers need, made anew for each."""

    def __init__(self, stores: Stores | None = None) -> None:
        """`stores` are memory's unless given; `database` is what memory's share."""
        self.clock = ManualClock(START)
        self.database = MemoryDatabase()
        stores = stores or memory_stores(self.database)
        self.user_store = stores.users
        self.uptime = stores.uptime
        # As cheap as Argon2 goes: the tests are about us, not about it.
        self.passwords = Passwords(memory_kib=8, passes=1, threads=1)
        self.tokens = Tokens(SECRET, self.clock, ACCESS_TTL, 3600)
        self.users = Users(
            stores.users, stores.sessions, self.passwords, self.tokens, self.clock, REFRESH_TTL
        )
        self.networks = Networks(stores.nodes, stores.uptime, self.tokens, self.clock)
        self.earnings = Earnings(self.uptime, RATE)

    async def person(self, email: str = "ada@example.com") -> User:
        """An account."""
        return await self.users.register(email, PASSWORD)

    async def node(self, owner: User, key: Ed25519PrivateKey, name: str = "attic") -> Node:
        """A node of `owner`."""
        public = public_bytes(key)
        signature = key.sign(enrol_bytes(owner.user_id, public))
        return await self.networks.enrol(owner.user_id, public, name, signature)

    @property
    def now_ms(self) -> int:
        """The clock, in milliseconds."""
        return to_ms(self.clock.now())

    def close(self) -> None:
        """Let the threads go."""
        self.passwords.close()


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key."""
    return key.public_key().public_bytes_raw()


def token_signature(key: Ed25519PrivateKey, node: Node, time_ms: int) -> bytes:
    """What the node sends to get a token."""
    return key.sign(token_bytes(node.node_id, time_ms))

"""One of each who may call, with a fresh token for every call."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import House, public_bytes
from support.stores import make_user

from core.clock import new_id
from storage.base import Node, User

ROLES = ("anonymous", "user", "other", "node", "enrol", "support", "operator")

# What each answers to, written down apart from the code that is tested.
NAMES = {
    "anonymous": {"anyone"},
    "user": {"anyone", "user"},
    "other": {"anyone", "user"},
    "node": {"anyone", "node"},
    "enrol": {"anyone", "enrol"},
    "support": {"anyone", "user", "support"},
    "operator": {"anyone", "user", "support", "operator"},
}


@dataclass
class Callers:
    """The people, and a node of `user`."""

    house: House
    people: dict[str, User]
    node: Node
    key: Ed25519PrivateKey

    def token(self, role: str) -> str | None:
        """A fresh access token of a session that nobody knows yet."""
        tokens = self.house.tokens
        if role == "anonymous":
            return None
        if role == "node":
            return tokens.for_node(self.node.node_id, self.node.user_id, public_bytes(self.key))[0]
        if role == "enrol":
            return tokens.for_enrolment(self.people["user"].user_id, new_id())[0]
        user = self.people[role]
        return tokens.for_user(user.user_id, new_id(), user.role)[0]


async def make_callers(house: House) -> Callers:
    """Everybody, made anew."""
    people = {}
    for name, role in (("user", "user"), ("other", "user"), ("support", "support"), ("operator", "operator")):
        user = people[name] = make_user(role=role, password_hash=await house.passwords.hash("unguessable 12"))
        assert await house.stores.users.add(user)
    key = Ed25519PrivateKey.generate()
    return Callers(house, people, await house.node(people["user"], key), key)

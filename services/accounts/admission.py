"""Accounts that are made at once, on the word of whoever runs the system."""

from core.clock import Clock, new_id
from services.accounts.addresses import normal_email
from services.accounts.new_passwords import NewPasswords
from services.audit import Audit, Kind
from services.names import clean_name
from storage.base import User, UserStore


class Admission:
    """Makes accounts without a mail: the first operator's, the demo's."""

    def __init__(self, *, users: UserStore, new_passwords: NewPasswords, audit: Audit, clock: Clock) -> None:
        self._users = users
        self._new_passwords = new_passwords
        self._audit = audit
        self._clock = clock

    async def admit(self, email: str, password: str, display_name: str, role: str = "user") -> User | None:
        """Make an account; None, and nothing changed, if the address is taken.

        Raises:
            InvalidInput: "invalid_input" naming the field, or "password_common".
        """
        address = normal_email(email)
        name = clean_name(display_name, "display_name")
        secret = self._new_passwords.acceptable(password, address, name)
        user = User(
            user_id=new_id(),
            email=address,
            display_name=name,
            password_hash=await self._new_passwords.hash(secret),
            role=role,
            created_at=self._clock.now(),
        )
        if not await self._users.add(user):
            return None
        await self._audit.note(Kind.VERIFIED, user_id=user.user_id, admitted=True, role=role)
        return user

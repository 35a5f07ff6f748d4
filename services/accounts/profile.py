"""What is one's own: name, language and time zone, the password, and the end of it all."""

from uuid import UUID

from core.clock import Clock
from core.errors import Unauthenticated
from services.accounts.credentials import Credentials
from services.accounts.locales import known_time_zone, normal_locale
from services.accounts.new_passwords import NewPasswords
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from services.names import clean_name
from services.sessions import Sessions
from storage.base import ConfirmationStore, Outbox, SessionStore, User, UserStore


class Profiles:
    """The accounts as their owners see and change them."""

    def __init__(
        self,
        *,
        users: UserStore,
        session_store: SessionStore,
        confirmations: ConfirmationStore,
        credentials: Credentials,
        new_passwords: NewPasswords,
        sessions: Sessions,
        letters: Letters,
        outbox: Outbox,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._users = users
        self._session_store = session_store
        self._confirmations = confirmations
        self._credentials = credentials
        self._new_passwords = new_passwords
        self._sessions = sessions
        self._letters = letters
        self._outbox = outbox
        self._audit = audit
        self._clock = clock

    async def get(self, user_id: UUID) -> User:
        """The person.

        Raises:
            Unauthenticated: "token_invalid" when the account is gone.
        """
        return await self._credentials.person(user_id)

    async def change(
        self,
        user: User,
        *,
        display_name: str | None = None,
        locale: str | None = None,
        time_zone: str | None = None,
    ) -> User:
        """Replace what is given of what `user` says of themselves; returns the person as they are now.

        Raises:
            InvalidInput: "invalid_input" naming the field.
            Unauthenticated: "token_invalid" when the account is gone.
        """
        await self._users.set_profile(
            user.user_id,
            user.display_name if display_name is None else clean_name(display_name, "display_name"),
            user.locale if locale is None else normal_locale(locale),
            user.time_zone if time_zone is None else known_time_zone(time_zone),
        )
        await self._audit.note(Kind.PROFILE_CHANGED, user_id=user.user_id)
        return await self.get(user.user_id)

    async def change_password(self, user_id: UUID, session_id: UUID | None, current: str, new: str) -> None:
        """Replace the password `current`; all sessions but `session_id` end.

        Raises:
            Unauthenticated: "invalid_credentials", also if it was replaced at the same moment.
            InvalidInput: "invalid_input" or "password_common", field "new".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        user = await self._credentials.prove(user_id, current)
        secret = self._new_passwords.acceptable(new, user.email, user.display_name, "new")
        replacement = await self._new_passwords.hash(secret)
        letter = self._letters.notice(MailKind.PASSWORD_CHANGED, user.email, name=user.display_name)
        ended = await self._confirmations.change_password(
            user_id, replacement, user.password_hash, session_id, [letter]
        )
        if ended is None:
            raise Unauthenticated("invalid_credentials", "The password was replaced a moment ago.")
        self._sessions.were_ended(user_id, ended)
        await self._audit.note(Kind.PASSWORD_CHANGED, user_id=user_id, sessions=len(ended))

    async def delete(self, user_id: UUID, password: str, code: str | None) -> None:
        """Erase the account for good. What the ledger holds stays under the bare id.

        Raises:
            Unauthenticated: "invalid_credentials", "second_factor_required" or "second_factor_invalid".
            TooManyRequests: "too_many_attempts" or "busy".
        """
        user = await self._credentials.prove_fully(user_id, password, code)
        now = self._clock.now()
        living = [session.session_id for session in await self._session_store.of_user(user_id, now)]
        if not await self._users.erase(user_id, now):
            raise Unauthenticated("token_invalid", "This account does not exist any more.")
        self._sessions.were_ended(user_id, living, nodes=True)
        await self._audit.note(Kind.ACCOUNT_DELETED, user_id=user_id)
        letter = self._letters.notice(MailKind.ACCOUNT_DELETED, user.email, name=user.display_name)
        await self._outbox.add(letter)

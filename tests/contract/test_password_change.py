"""What every `ConfirmationStore` guarantees of passwords that are replaced, next to the reset itself."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from support.stores import Stores, make_mail, make_session, make_user

from core.clock import new_id
from storage.base import EmailChange, Reset, User

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOW + timedelta(days=1)


def hashed(token: str) -> bytes:
    return sha256(token.encode()).digest()


async def prepared(stores: Stores) -> tuple[User, list]:
    """Somebody with two sessions, a pending reset and a pending change of address."""
    user = make_user(password_hash="old")
    await stores.users.add(user)
    sessions = [make_session(user.user_id, name, NOW) for name in ("here", "there")]
    for session in sessions:
        await stores.sessions.add(session)
    await stores.confirmations.put_reset(
        Reset(token_hash=hashed("reset"), user_id=user.user_id, created_at=NOW, expires_at=END), []
    )
    await stores.confirmations.put_email_change(
        EmailChange(
            user_id=user.user_id,
            new_email=f"new-{user.user_id}@example.org",
            old_hash=hashed("old"),
            new_hash=hashed("new"),
            created_at=NOW,
            expires_at=END,
        ),
        [],
    )
    return user, sessions


async def test_a_change_replaces_the_password_and_ends_the_other_sessions(stores: Stores) -> None:
    user, (here, there) = await prepared(stores)
    mail = make_mail(NOW)
    ended = await stores.confirmations.change_password(user.user_id, "new", "old", here.session_id, [mail])
    assert ended == [there.session_id]
    found = await stores.users.by_id(user.user_id)
    assert found is not None
    assert found.password_hash == "new"
    assert [each.session_id for each in await stores.sessions.of_user(user.user_id, NOW)] == [here.session_id]
    assert await stores.outbox.waiting() == 1
    assert await stores.confirmations.reset_owner(hashed("reset"), NOW) is None
    assert (await stores.confirmations.confirm_email(hashed("old"), NOW)).outcome == "unknown"


async def test_a_change_from_another_password_changes_nothing(stores: Stores) -> None:
    user, sessions = await prepared(stores)
    mail = make_mail(NOW)
    assert await stores.confirmations.change_password(user.user_id, "new", "other", None, [mail]) is None
    assert await stores.confirmations.change_password(new_id(), "new", "old", None, [mail]) is None
    assert await stores.users.by_id(user.user_id) == user
    assert len(await stores.sessions.of_user(user.user_id, NOW)) == len(sessions)
    assert await stores.outbox.waiting() == 0
    assert await stores.confirmations.reset_owner(hashed("reset"), NOW) == user


async def test_a_reset_queues_its_mails_when_it_is_made(stores: Stores) -> None:
    user, _ = await prepared(stores)
    assert await stores.confirmations.reset(hashed("unknown"), "new", NOW, [make_mail(NOW)]) is None
    assert await stores.outbox.waiting() == 0
    ended = await stores.confirmations.reset(hashed("reset"), "new", NOW, [make_mail(NOW)])
    assert ended is not None
    assert len(ended) == 2
    assert await stores.outbox.waiting() == 1
    assert user.password_hash == "old"

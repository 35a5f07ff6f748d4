"""What every `Outbox` guarantees."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from support.stores import Stores, make_mail

from core.clock import new_id
from core.errors import InvalidInput

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEASE = NOW + timedelta(minutes=5)


async def test_a_mail_is_taken_whole_and_counts_an_attempt(stores: Stores) -> None:
    mail = make_mail(NOW, body=b"\0sealed\xff")
    await stores.outbox.add(mail)
    assert await stores.outbox.waiting() == 1
    assert await stores.outbox.take(NOW, LEASE, 10) == [replace(mail, next_at=LEASE, attempts=1)]


async def test_only_mails_that_are_due_are_taken_the_oldest_first(stores: Stores) -> None:
    mails = [make_mail(NOW - number * SECOND) for number in (1, 3, -1, 0, 2)]
    for mail in mails:
        await stores.outbox.add(mail)
    first = await stores.outbox.take(NOW, LEASE, 3)
    assert [mail.mail_id for mail in first] == [mails[index].mail_id for index in (1, 4, 0)]
    assert [mail.mail_id for mail in await stores.outbox.take(NOW, LEASE, 3)] == [mails[3].mail_id]


async def test_a_mail_that_was_taken_is_due_again_once_the_lease_has_run_out(stores: Stores) -> None:
    await stores.outbox.add(make_mail(NOW))
    await stores.outbox.take(NOW, LEASE, 10)
    assert await stores.outbox.take(LEASE - SECOND, LEASE + SECOND, 10) == []
    (again,) = await stores.outbox.take(LEASE, LEASE + SECOND, 10)
    assert again.attempts == 2


async def test_a_mail_that_left_is_forgotten(stores: Stores) -> None:
    mail = make_mail(NOW)
    await stores.outbox.add(mail)
    await stores.outbox.take(NOW, LEASE, 10)
    await stores.outbox.sent(mail.mail_id)
    assert await stores.outbox.waiting() == 0
    assert await stores.outbox.take(LEASE, LEASE, 10) == []


async def test_a_postponed_mail_is_due_at_its_new_time(stores: Stores) -> None:
    mail = make_mail(NOW)
    await stores.outbox.add(mail)
    await stores.outbox.take(NOW, LEASE, 10)
    await stores.outbox.postpone(mail.mail_id, NOW + SECOND)
    assert await stores.outbox.take(NOW, LEASE, 10) == []
    (again,) = await stores.outbox.take(NOW + SECOND, LEASE, 10)
    assert again.attempts == 2


async def test_what_nobody_knows_can_be_sent_and_postponed_without_harm(stores: Stores) -> None:
    await stores.outbox.sent(new_id())
    await stores.outbox.postpone(new_id(), NOW)
    assert await stores.outbox.waiting() == 0


async def test_an_expired_mail_is_dropped_instead_of_taken(stores: Stores) -> None:
    await stores.outbox.add(make_mail(NOW, expires_at=NOW + SECOND))
    fresh = make_mail(NOW, expires_at=NOW + 2 * SECOND)
    await stores.outbox.add(fresh)
    taken = await stores.outbox.take(NOW + SECOND, LEASE, 10)
    assert [mail.mail_id for mail in taken] == [fresh.mail_id]
    assert await stores.outbox.waiting() == 1


async def test_expired_mails_do_not_use_up_the_limit(stores: Stores) -> None:
    for number in range(5):
        await stores.outbox.add(make_mail(NOW - number * SECOND, expires_at=NOW))
    fresh = make_mail(NOW)
    await stores.outbox.add(fresh)
    assert [mail.mail_id for mail in await stores.outbox.take(NOW, LEASE, 1)] == [fresh.mail_id]


async def test_senders_at_the_same_time_share_the_mails_and_none_is_taken_twice(stores: Stores) -> None:
    mails = [make_mail(NOW) for _ in range(50)]
    for mail in mails:
        await stores.outbox.add(mail)
    taken = await asyncio.gather(*(stores.outbox.take(NOW, LEASE, 7) for _ in range(20)))
    ids = [mail.mail_id for part in taken for mail in part]
    assert len(ids) == len(set(ids))
    while part := await stores.outbox.take(NOW, LEASE, 7):
        ids.extend(mail.mail_id for mail in part)
    assert sorted(ids) == sorted(mail.mail_id for mail in mails)


async def test_a_text_that_cannot_be_stored_is_refused(stores: Stores) -> None:
    with pytest.raises(InvalidInput, match="text_invalid"):
        await stores.outbox.add(make_mail(NOW, recipient="a\0@example.org"))

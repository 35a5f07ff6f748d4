"""Whoever asks cannot tell from the time whether an address has an account: the work is the same.

What is compared are the calls to stores, throttle and password hashes, in order; `python -m bench.timing`
measures the same with a clock.
"""

from collections import Counter

import pytest
from support.house import PASSWORD, House
from support.ports import Ports

from core.errors import Refusal

KNOWN, UNKNOWN, UNCONFIRMED = "ada@example.com", "bob@example.com", "eve@example.com"
# Which of the two a call is makes no difference in time: a row written, and a mail, in one transaction.
SAME = {"confirmations.put_reset": "confirmations.put_registration"}


async def work(house: House, ask) -> list[str]:
    """The calls that `ask` makes."""
    ports = Ports(house)
    try:
        await ask
    except Refusal as refusal:
        ports.calls.append(refusal.code)
    return [SAME.get(call, call) for call in ports.calls]


async def prepared(house: House) -> House:
    await house.person(KNOWN)
    await house.accounts.registrar.register(UNCONFIRMED, PASSWORD, address="203.0.113.1")
    return house


@pytest.fixture
async def filled(house: House) -> House:
    return await prepared(house)


async def test_registering_is_the_same_work_for_every_address(filled: House) -> None:
    registrar = filled.accounts.registrar
    results = [
        await work(filled, registrar.register(email, PASSWORD, address="192.0.2.1"))
        for email in (KNOWN, UNKNOWN, UNCONFIRMED, *([KNOWN] * 5), *([UNKNOWN] * 5))
    ]
    assert results == [results[0]] * len(results)
    assert Counter(results[0])["passwords.hash"] == 1
    assert Counter(results[0])["confirmations.put_registration"] == 1


async def test_forgetting_is_the_same_work_for_every_address(filled: House) -> None:
    recovery = filled.accounts.recovery
    results = [
        await work(filled, recovery.forgot(email, "192.0.2.1"))
        for email in (KNOWN, UNKNOWN, UNCONFIRMED, *([KNOWN] * 5), *([UNKNOWN] * 5))
    ]
    assert results == [results[0]] * len(results)


async def test_a_failed_sign_in_is_the_same_work_for_every_address(filled: House) -> None:
    sign_ins = filled.accounts.sign_ins
    results = [
        await work(filled, sign_ins.sign_in(email, "a wrong password", address="192.0.2.1"))
        for email in (KNOWN, UNKNOWN, UNCONFIRMED, "no address")
    ]
    assert results == [results[0]] * len(results)
    assert Counter(results[0])["passwords.verify"] == 1
    assert results[0][-1] == "invalid_credentials"


async def test_a_throttled_sign_in_is_the_same_work_for_every_address(filled: House) -> None:
    sign_ins = filled.accounts.sign_ins
    results = {}
    for number, email in enumerate((KNOWN, UNKNOWN, UNCONFIRMED)):
        address = f"192.0.2.{number}"
        results[email] = [
            await work(filled, sign_ins.sign_in(email, "a wrong password", address=address))
            for _ in range(15)
        ]
    assert results[KNOWN] == results[UNKNOWN] == results[UNCONFIRMED]
    assert results[KNOWN][-1][-1] == "too_many_attempts"


async def test_asking_for_another_address_is_the_same_work_whether_it_is_taken(filled: House) -> None:
    user = await filled.user_store.by_email(KNOWN)
    await filled.person("taken@example.com")
    results = [
        await work(filled, filled.accounts.emails.ask(user.user_id, email, PASSWORD))
        for email in ("taken@example.com", "free@example.com")
    ]
    assert results[0] == results[1]


async def test_as_many_rows_are_written_whether_or_not_anything_is_to_leave(filled: House) -> None:
    for ask in (filled.accounts.registrar.register, None):
        rows = []
        for email in (KNOWN, "fresh@example.com"):
            before = len(filled.database.mails)
            await (ask(email, PASSWORD) if ask else filled.accounts.recovery.forgot(email))
            rows.append(len(filled.database.mails) - before)
        assert rows == [1, 1]


async def test_decoys_never_leave_and_are_pruned(filled: House) -> None:
    waiting = len(await filled.mails())
    await filled.accounts.recovery.forgot(UNKNOWN)
    assert any(each.email.endswith("@decoy.invalid") for each in filled.database.registrations.values())
    assert len(await filled.mails()) == waiting
    await filled.stores.confirmations.prune(filled.clock.now())
    assert not any(each.email.endswith("@decoy.invalid") for each in filled.database.registrations.values())

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import House, public_bytes, token_signature

from core.clock import new_id
from core.errors import Conflict, InvalidInput, Unauthenticated
from core.messages import enrol_bytes
from services.networks import MAX_SKEW_MS

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


async def test_a_node_enrols_by_proving_its_key(house: House) -> None:
    owner = await house.person()
    node = await house.node(owner, KEY, "  attic ")
    assert (node.user_id, node.public_key, node.name) == (owner.user_id, public_bytes(KEY), "attic")
    assert (await house.nodes.get(owner.user_id, node.node_id)).node == node


async def test_enrolling_again_finds_the_same_node(house: House) -> None:
    owner = await house.person()
    first = await house.node(owner, KEY)
    assert await house.node(owner, KEY, "renamed") == first


async def test_a_key_belongs_to_one_person(house: House) -> None:
    ada, bob = await house.person(), await house.person("bob@example.com")
    await house.node(ada, KEY)
    with pytest.raises(Conflict) as refused:
        await house.node(bob, KEY)
    assert refused.value.code == "key_taken"


@pytest.mark.parametrize("wrong", ["another key", "another owner", "too short", "empty"])
async def test_a_wrong_enrolment_signature_is_refused(house: House, wrong: str) -> None:
    owner = await house.person()
    public = public_bytes(KEY)
    signature = {
        "another key": OTHER.sign(enrol_bytes(owner.user_id, public)),
        "another owner": KEY.sign(enrol_bytes(new_id(), public)),
        "too short": KEY.sign(enrol_bytes(owner.user_id, public))[:-1],
        "empty": b"",
    }[wrong]
    with pytest.raises(InvalidInput) as refused:
        await house.networks.enrol(owner.user_id, public, "attic", signature)
    assert refused.value.code == "signature_invalid"


@pytest.mark.parametrize(("key", "name", "field"), [(b"", "attic", "public_key"), (b"k" * 32, " ", "name")])
async def test_what_cannot_be_a_node_is_refused(house: House, key: bytes, name: str, field: str) -> None:
    owner = await house.person()
    with pytest.raises(InvalidInput) as refused:
        await house.networks.enrol(owner.user_id, key, name, b"")
    assert refused.value.extra["field"] == field


async def test_32_bytes_that_are_no_point_are_refused_like_a_wrong_signature(house: House) -> None:
    owner = await house.person()
    with pytest.raises(InvalidInput) as refused:
        await house.networks.enrol(owner.user_id, b"\xff" * 32, "attic", b"\x00" * 64)
    assert refused.value.code == "signature_invalid"


async def test_a_node_gets_its_token_by_signing_the_time(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    now = house.now_ms
    token, expires_at = await house.networks.node_token(node.node_id, now, token_signature(KEY, node, now))
    principal = house.tokens.verify(token, "node")
    assert (principal.node_id, principal.user_id) == (node.node_id, node.user_id)
    assert principal.public_key == public_bytes(KEY)
    assert principal.expires_at == expires_at


async def test_a_signature_serves_once_and_no_earlier_one_serves_after_it(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    now = house.now_ms
    earlier, current = (token_signature(KEY, node, ms) for ms in (now - 1, now))
    await house.networks.node_token(node.node_id, now, current)
    for time_ms, signature in ((now, current), (now - 1, earlier)):
        with pytest.raises(Unauthenticated) as refused:
            await house.networks.node_token(node.node_id, time_ms, signature)
        assert refused.value.code == "signature_used"
    house.clock.advance(timedelta(milliseconds=1))
    later = house.now_ms
    await house.networks.node_token(node.node_id, later, token_signature(KEY, node, later))


@pytest.mark.parametrize("skew", [MAX_SKEW_MS + 1, -MAX_SKEW_MS - 1, 1 << 80, -(1 << 80)])
async def test_a_clock_that_is_off_is_told_the_right_time(house: House, skew: int) -> None:
    node = await house.node(await house.person(), KEY)
    with pytest.raises(Unauthenticated) as refused:
        await house.networks.node_token(node.node_id, house.now_ms + skew, b"")
    assert refused.value.code == "clock_skew"
    assert refused.value.extra["server_time"] == house.now_ms


@pytest.mark.parametrize("skew", [MAX_SKEW_MS, -MAX_SKEW_MS])
async def test_a_clock_that_is_a_little_off_is_good_enough(house: House, skew: int) -> None:
    node = await house.node(await house.person(), KEY)
    time_ms = house.now_ms + skew
    await house.networks.node_token(node.node_id, time_ms, token_signature(KEY, node, time_ms))


async def test_an_unknown_node_and_a_wrong_signature_get_the_same_answer(house: House) -> None:
    node = await house.node(await house.person(), KEY)
    now = house.now_ms
    answers = []
    for node_id, signature in (
        (new_id(), token_signature(KEY, node, now)),
        (node.node_id, token_signature(OTHER, node, now)),
        (node.node_id, token_signature(KEY, node, now - 1)),
        (node.node_id, b""),
    ):
        with pytest.raises(Unauthenticated) as refused:
            await house.networks.node_token(node_id, now, signature)
        answers.append((refused.value.code, refused.value.detail, refused.value.extra))
    assert answers == [answers[0]] * 4
    # None of them used the time up.
    await house.networks.node_token(node.node_id, now, token_signature(KEY, node, now))


async def test_the_summary_counts_everybody(house: House) -> None:
    await house.node(await house.person(), KEY)
    await house.person("bob@example.com")
    summary = await house.networks.summary()
    assert (summary.users_total, summary.nodes_total, summary.nodes_online) == (2, 1, 0)

import pytest

from services.sealing import SealBroken, Sealer

ONE = "the first secret, which is long enough"
TWO = "the second secret, which is long enough"


def test_what_was_sealed_can_be_opened() -> None:
    sealer = Sealer(ONE)
    assert sealer.open(sealer.seal(b"secret", "purpose"), "purpose") == b"secret"
    assert sealer.open(sealer.seal(b"", "purpose"), "purpose") == b""


def test_nothing_of_the_content_shows_and_no_two_seals_are_equal() -> None:
    sealer = Sealer(ONE)
    first, second = sealer.seal(b"secret" * 10, "purpose"), sealer.seal(b"secret" * 10, "purpose")
    assert b"secret" not in first
    assert first != second


def test_another_purpose_does_not_open_it() -> None:
    sealer = Sealer(ONE)
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"secret", "one purpose"), "another")


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(SealBroken):
        Sealer(TWO).open(Sealer(ONE).seal(b"secret", "purpose"), "purpose")


def test_what_a_former_key_sealed_stays_readable() -> None:
    old = Sealer(ONE).seal(b"secret", "purpose")
    rotated = Sealer(TWO, [ONE])
    assert rotated.open(old, "purpose") == b"secret"
    with pytest.raises(SealBroken):
        Sealer(ONE).open(rotated.seal(b"secret", "purpose"), "purpose")


def test_a_seal_with_one_bit_changed_is_broken() -> None:
    sealer = Sealer(ONE)
    sealed = sealer.seal(b"secret", "purpose")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SealBroken):
            sealer.open(bytes(changed), "purpose")


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_a_piece_of_a_seal_is_broken(length: int) -> None:
    sealer = Sealer(ONE)
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(b"secret", "purpose")[:length], "purpose")


def test_a_tag_proves_content_and_purpose_with_any_of_our_keys() -> None:
    tag = Sealer(ONE).tag(b"content", "purpose", 16)
    assert len(tag) == 16
    for sealer in (Sealer(ONE), Sealer(TWO, [ONE])):
        assert sealer.tagged(tag, b"content", "purpose")
        assert not sealer.tagged(tag, b"other", "purpose")
        assert not sealer.tagged(tag, b"content", "other")
    assert not Sealer(TWO).tagged(tag, b"content", "purpose")

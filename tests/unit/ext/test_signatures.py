"""Verifying many signatures in one call."""

import os
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ed25519

from ext.signatures import verify


def _claim(message: bytes = b"message") -> tuple[bytes, bytes]:
    key = Ed25519PrivateKey.generate()
    return key.public_key().public_bytes_raw(), key.sign(message) + message


# RFC 8032 §7.1, tests 1 to 3.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_are_good(key, message, signature):
    assert verify([(bytes.fromhex(key), bytes.fromhex(signature + message))]) == [True]


def test_each_claim_of_a_batch_has_its_own_verdict():
    claims = [_claim(bytes(size)) for size in range(20)]
    for index in range(0, 20, 3):
        claims[index] = (claims[index][0], claims[(index + 1) % 20][1])
    assert verify(claims) == [index % 3 != 0 for index in range(20)]
    assert verify([]) == []


@settings(deadline=None)
@given(st.integers(0, 8 * (64 + 7) - 1))
def test_one_bit_makes_a_signature_wrong(bit):
    key, signed = _claim()
    wrong = bytearray(signed)
    wrong[bit // 8] ^= 1 << bit % 8
    assert verify([(key, bytes(wrong)), (key, signed)]) == [False, True]


def test_a_second_half_that_is_not_reduced_is_refused():
    key, signed = _claim()
    s = int.from_bytes(signed[32:64], "little") + ed25519.L
    assert verify([(key, signed[:32] + s.to_bytes(32, "little") + signed[64:])]) == [False]


@pytest.mark.parametrize(("key", "signed"), [(31, 64), (33, 64), (0, 64), (32, 63), (32, 0)])
def test_what_has_another_length_is_no_claim(key, signed):
    with pytest.raises(ValueError, match="32 bytes"):
        verify([_claim(), (bytes(key), bytes(signed))])


@pytest.mark.parametrize(
    "claim", [("text", b"x" * 64), (None, b"x" * 64), (b"k" * 32, None), b"no pair", None]
)
def test_what_is_no_pair_of_bytes_is_refused(claim):
    with pytest.raises((TypeError, ValueError)):
        verify([claim])


def test_other_threads_go_on_while_a_batch_is_verified():
    claims = [_claim(os.urandom(40))] * 400
    done = threading.Event()
    steps = 0

    def work() -> None:
        verify(claims)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        steps += 1
    thread.join()
    # With the lock held there would be a handful, before and after.
    assert steps > 1000

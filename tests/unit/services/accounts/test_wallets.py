from datetime import timedelta

import pytest
from coincurve import PrivateKey
from Crypto.Hash import keccak
from support.house import House

from core.errors import Conflict, InvalidInput
from services.accounts.wallets import WalletChallenge, _signer, checksummed
from storage.base import User

KEY = PrivateKey(b"\x01" * 32)
OTHER = PrivateKey(b"\x02" * 32)


def keccak256(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


def address_of(key: PrivateKey) -> str:
    return checksummed("0x" + keccak256(key.public_key.format(compressed=False)[1:])[-20:].hex())


def sign(key: PrivateKey, message: str) -> str:
    content = message.encode()
    digest = keccak256(b"\x19Ethereum Signed Message:\n%d" % len(content) + content)
    raw = key.sign_recoverable(digest, hasher=None)
    return "0x" + (raw[:-1] + bytes([raw[-1] + 27])).hex()


async def link(house: House, user: User, challenge: WalletChallenge, key: PrivateKey = KEY) -> str:
    signature = sign(key, challenge.message)
    return await house.accounts.wallets.link(user.user_id, address_of(key), challenge.nonce, signature)


async def wallet_of(house: House, user: User) -> str | None:
    return (await house.accounts.profiles.get(user.user_id)).wallet


@pytest.mark.parametrize(
    "address",
    [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
    ],
)
def test_checksums_are_those_of_eip_55(address: str) -> None:
    assert checksummed(address) == address
    assert checksummed(address.lower()) == address
    assert checksummed("0x" + address[2:].upper()) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\n",
        "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checksummed(text)
    assert refused.value.extra["field"] == "address"


def test_a_signature_that_another_implementation_made() -> None:
    # The example of web3.js, accounts.sign.
    signature = (
        "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd"
        "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c"
    )
    assert _signer("Some data", signature) == "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
    assert _signer("Some datA", signature) != "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


@pytest.mark.parametrize(
    "signature", ["", "0x", "zz", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "00" * 64, "é"]
)
def test_what_is_no_signature_was_signed_by_nobody(signature: str) -> None:
    assert _signer("Some data", signature) is None


async def test_a_wallet_is_linked_by_its_signature(house: House) -> None:
    user = await house.person()
    challenge = house.accounts.wallets.challenge(user.user_id, address_of(KEY).lower())
    assert challenge.message.startswith(
        "pulse.example.com wants you to sign in with your Ethereum account:\n" + address_of(KEY)
    )
    for part in (str(user.user_id), challenge.nonce, "URI: https://pulse.example.com", "03:14:05Z"):
        assert part in challenge.message
    assert await link(house, user, challenge) == address_of(KEY)
    assert await wallet_of(house, user) == address_of(KEY)
    assert [mail["Subject"] for mail in await house.mails()] == ["A wallet was linked"]
    await house.accounts.wallets.unlink(user.user_id)
    await house.accounts.wallets.unlink(user.user_id)
    assert await wallet_of(house, user) is None
    kinds = await house.kinds_noted()
    assert kinds[-2:] == ["wallet.linked", "wallet.unlinked"]


async def test_a_nonce_serves_once(house: House) -> None:
    user = await house.person()
    challenge = house.accounts.wallets.challenge(user.user_id, address_of(KEY))
    await link(house, user, challenge)
    with pytest.raises(InvalidInput, match="challenge_invalid"):
        await link(house, user, challenge)
    again = WalletChallenge(challenge.message, challenge.nonce.upper(), challenge.expires_at)
    with pytest.raises(InvalidInput, match="challenge_invalid"):
        await link(house, user, again)


async def test_a_nonce_expires(house: House) -> None:
    user = await house.person()
    challenge = house.accounts.wallets.challenge(user.user_id, address_of(KEY))
    house.clock.advance(timedelta(minutes=10))
    with pytest.raises(InvalidInput, match="challenge_invalid"):
        await link(house, user, challenge)


async def test_a_signature_for_one_account_does_not_serve_another(house: House) -> None:
    ada, eve = await house.person(), await house.person("eve@example.com")
    challenge = house.accounts.wallets.challenge(ada.user_id, address_of(KEY))
    with pytest.raises(InvalidInput, match="challenge_invalid"):
        await link(house, eve, challenge)


async def test_the_signature_of_another_wallet_does_not_serve(house: House) -> None:
    user = await house.person()
    challenge = house.accounts.wallets.challenge(user.user_id, address_of(KEY))
    with pytest.raises(InvalidInput, match="signature_invalid"):
        await house.accounts.wallets.link(
            user.user_id, address_of(KEY), challenge.nonce, sign(OTHER, challenge.message)
        )
    with pytest.raises(InvalidInput, match="challenge_invalid"):
        await link(house, user, challenge, OTHER)
    # A wrong signature does not use the nonce up.
    await link(house, user, challenge)


@pytest.mark.parametrize("nonce", ["", "00", "zz", "00" * 34, "é", "\ud800"])
async def test_a_nonce_that_is_not_ours_is_refused(house: House, nonce: str) -> None:
    user = await house.person()
    with pytest.raises(InvalidInput, match="challenge_invalid"):
        await house.accounts.wallets.link(user.user_id, address_of(KEY), nonce, "0x" + "00" * 65)


async def test_a_wallet_belongs_to_one_account(house: House) -> None:
    ada, eve = await house.person(), await house.person("eve@example.com")
    await link(house, ada, house.accounts.wallets.challenge(ada.user_id, address_of(KEY)))
    with pytest.raises(Conflict, match="wallet_taken"):
        await link(house, eve, house.accounts.wallets.challenge(eve.user_id, address_of(KEY)))
    await link(house, ada, house.accounts.wallets.challenge(ada.user_id, address_of(OTHER)), OTHER)
    await link(house, eve, house.accounts.wallets.challenge(eve.user_id, address_of(KEY)))

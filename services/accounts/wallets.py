"""Wallets: linked by a signature over a text that names the site, the account and a nonce of ours."""

import re
import secrets
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from coincurve import PublicKey
from Crypto.Hash import keccak
from msgspec import Struct

from core.clock import Clock
from core.errors import Conflict, InvalidInput
from services.accounts.credentials import Credentials
from services.accounts.limits import Limits
from services.audit import Audit, Kind
from services.mail import Kind as MailKind
from services.mail import Letters
from services.sealing import Sealer
from storage.base import Outbox, UserStore

CHALLENGE_TTL = timedelta(minutes=10)
NONCE_RANDOM = 12
NONCE_TAG = 16
SIGNATURE_BYTES = 65

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")


class WalletChallenge(Struct, frozen=True):
    """What a wallet is to sign (EIP-4361), and the nonce in it that comes back with the signature."""

    message: str
    nonce: str
    expires_at: datetime


class Wallets:
    """Links wallets to accounts.

    Nothing is stored for a challenge: its nonce carries its end and our proof that we made it for this
    account and wallet, and serves once.
    """

    def __init__(
        self,
        *,
        users: UserStore,
        credentials: Credentials,
        limits: Limits,
        sealer: Sealer,
        letters: Letters,
        outbox: Outbox,
        audit: Audit,
        clock: Clock,
        public_url: str,
    ) -> None:
        """`public_url` is where people reach the page: the message names it."""
        self._users = users
        self._credentials = credentials
        self._limits = limits
        self._sealer = sealer
        self._letters = letters
        self._outbox = outbox
        self._audit = audit
        self._clock = clock
        self._url = public_url

    def challenge(self, user_id: UUID, wallet: str) -> WalletChallenge:
        """What `wallet` is to sign, within `CHALLENGE_TTL`.

        Raises:
            InvalidInput: "invalid_input", field "address".
        """
        address = checksummed(wallet)
        ends = int((self._clock.now() + CHALLENGE_TTL).timestamp())
        head = ends.to_bytes(6, "big") + secrets.token_bytes(NONCE_RANDOM)
        nonce = head + self._sealer.tag(head, _purpose(user_id, address), NONCE_TAG)
        return self._written(user_id, address, nonce)

    async def link(self, user_id: UUID, wallet: str, nonce: str, signature: str) -> str:
        """Link `wallet`, in place of one that was; returns its address with checksum (EIP-55).

        `signature` is the wallet's over the challenge of `nonce` (EIP-191 version 0x45), 65 bytes in hex.

        Raises:
            InvalidInput: "invalid_input" naming the field, "challenge_invalid" or "signature_invalid".
            Conflict: "wallet_taken" by another account.
        """
        address = checksummed(wallet)
        challenge = self._proved(user_id, address, nonce)
        if _signer(challenge.message, signature) != address:
            raise InvalidInput("signature_invalid", "The signature is not of this wallet over this text.")
        if not await self._limits.once(
            f"wallet:{nonce.lower()}", round(CHALLENGE_TTL.total_seconds() * 1000)
        ):
            raise _stale()
        user = await self._credentials.person(user_id)
        if not await self._users.set_wallet(user_id, address):
            raise Conflict("wallet_taken", "This wallet is linked to another account.")
        await self._audit.note(Kind.WALLET_LINKED, user_id=user_id, wallet=address)
        letter = self._letters.notice(
            MailKind.WALLET_LINKED, user.email, name=user.display_name, wallet=address
        )
        await self._outbox.add(letter)
        return address

    async def unlink(self, user_id: UUID) -> None:
        """Let no wallet be linked; that there was none is no error.

        Raises:
            Unauthenticated: "token_invalid" when the account is gone.
        """
        user = await self._credentials.person(user_id)
        if user.wallet is None:
            return
        await self._users.set_wallet(user_id, None)
        await self._audit.note(Kind.WALLET_UNLINKED, user_id=user_id, wallet=user.wallet)
        letter = self._letters.notice(
            MailKind.WALLET_UNLINKED, user.email, name=user.display_name, wallet=user.wallet
        )
        await self._outbox.add(letter)

    def _proved(self, user_id: UUID, address: str, nonce: str) -> WalletChallenge:
        """The challenge of a nonce that we made and that still serves."""
        try:
            raw = bytes.fromhex(nonce)
        except ValueError as error:
            raise _stale() from error
        head, tag = raw[:-NONCE_TAG], raw[-NONCE_TAG:]
        if len(raw) != 6 + NONCE_RANDOM + NONCE_TAG or not self._sealer.tagged(
            tag, head, _purpose(user_id, address)
        ):
            raise _stale()
        challenge = self._written(user_id, address, raw)
        if challenge.expires_at <= self._clock.now():
            raise _stale()
        return challenge

    def _written(self, user_id: UUID, address: str, nonce: bytes) -> WalletChallenge:
        """The text of EIP-4361, the same whenever it is made of the same."""
        ends = datetime.fromtimestamp(int.from_bytes(nonce[:6], "big"), self._clock.now().tzinfo)
        message = (
            f"{urlsplit(self._url).netloc} wants you to sign in with your Ethereum account:\n"
            f"{address}\n"
            "\n"
            f"Link this wallet to the Pulseboard account {user_id}.\n"
            "\n"
            f"URI: {self._url}\n"
            "Version: 1\n"
            "Chain ID: 1\n"
            f"Nonce: {nonce.hex()}\n"
            f"Issued At: {_rfc3339(ends - CHALLENGE_TTL)}\n"
            f"Expiration Time: {_rfc3339(ends)}"
        )
        return WalletChallenge(message, nonce.hex(), ends)


def checksummed(wallet: str) -> str:
    """A wallet's address with its checksum (EIP-55); one that has a checksum must have the right one.

    Raises:
        InvalidInput: "invalid_input", field "address".
    """
    if not _ADDRESS.match(wallet):
        raise InvalidInput("invalid_input", "address: must be 0x and 40 hexadecimal digits.", field="address")
    bare = wallet[2:].lower()
    digest = _keccak(bare.encode()).hex()
    marked = "".join(
        char.upper() if int(nibble, 16) >= 8 else char for char, nibble in zip(bare, digest, strict=False)
    )
    if wallet[2:] not in {bare, bare.upper(), marked}:
        raise InvalidInput("invalid_input", "address: has a wrong checksum.", field="address")
    return f"0x{marked}"


def _signer(message: str, signature: str) -> str | None:
    """The address that signed `message` (EIP-191, version 0x45); None if `signature` is none."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return None
    if len(raw) != SIGNATURE_BYTES or raw[-1] not in {0, 1, 27, 28}:
        return None
    content = message.encode()
    digest = _keccak(b"\x19Ethereum Signed Message:\n" + str(len(content)).encode() + content)
    recoverable = raw[:-1] + bytes([raw[-1] % 27])
    try:
        key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception:
        # The library raises bare ones for what is no point of the curve.
        return None
    return checksummed("0x" + _keccak(key.format(compressed=False)[1:])[-20:].hex())


def _keccak(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


def _purpose(user_id: UUID, address: str) -> str:
    return f"wallet {user_id} {address}"


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _stale() -> InvalidInput:
    return InvalidInput("challenge_invalid", "The nonce is not ours, has served or has expired. Ask again.")

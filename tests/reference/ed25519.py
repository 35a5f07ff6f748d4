"""Ed25519 (RFC 8032 §5.1) in plain integers, to make signatures that no honest signer makes."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
ZERO: Point = (0, 1)


def decode(data: bytes) -> Point | None:
    """The point of an encoding, in canonical form or not; None if there is none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, (y & (1 << 255) - 1) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return (P - x if x & 1 != sign else x) % P, y


def encode(point: Point) -> bytes:
    """The canonical encoding."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    x, y, z, _ = _add(_extended(a), _extended(b))
    inverse = pow(z, -1, P)
    return x * inverse % P, y * inverse % P


def times(scalar: int, point: Point) -> Point:
    """A multiple of a point."""
    out, power = _extended(ZERO), _extended(point)
    while scalar:
        if scalar & 1:
            out = _add(out, power)
        power = _add(power, power)
        scalar >>= 1
    inverse = pow(out[2], -1, P)
    return out[0] * inverse % P, out[1] * inverse % P


# RFC 8032 §5.1.4: with x = X/Z and y = Y/Z nothing has to be inverted on the way.
_Extended = tuple[int, int, int, int]


def _extended(point: Point) -> _Extended:
    return point[0], point[1], 1, point[0] * point[1] % P


def _add(p: _Extended, q: _Extended) -> _Extended:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


_base = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
assert _base is not None
BASE: Point = _base

_eighth = decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
assert _eighth is not None
#: The points of small order: multiples of one of order eight.
SMALL = [times(index, _eighth) for index in range(8)]


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    """What a signature's second half depends on."""
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def sign(secret: int, key: bytes, nonce: int, r: bytes, message: bytes) -> bytes:
    """A signature with a secret scalar and a nonce of the caller's choice, whatever `key` and `r` are."""
    return r + ((nonce + challenge(r, key, message) * secret) % L).to_bytes(32, "little")


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """RFC 8032 §5.1.7 without the cofactor: the first half must be what it comes to, byte by byte."""
    a = decode(key)
    s = int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    h = challenge(signature[:32], key, message)
    minus_a = (P - a[0]) % P, a[1]
    return encode(add(times(s, BASE), times(h, minus_a))) == signature[:32]

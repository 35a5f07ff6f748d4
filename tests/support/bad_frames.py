"""Frames that must not be taken, and some unusual ones that must."""

from collections.abc import Callable
from dataclasses import dataclass

from reference.frames import client_frame
from support.attack import SERVED, Attack, Target
from support.websocket import Socket

from ext.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, build

# A message that every worker answers, with a character of three bytes in it.
QUESTION = '{"type":"call","id":1,"method":"€"}'.encode()
CUT = QUESTION.index("€".encode()) + 1


@dataclass(frozen=True)
class BadFrames(Attack):
    """Bytes sent at once on an open connection."""

    data: bytes = b""

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the close frame's code, which must be the last that is said."""
        socket.send_raw(self.bytes_for(target))
        code, _ = await socket.closed()
        assert await socket.ended() == b""
        return code

    def bytes_for(self, target: Target) -> bytes:
        """The bytes that are sent."""
        return self.data


@dataclass(frozen=True)
class TooBig(BadFrames):
    """A message that is larger than the target's limit, made by `make(limit)`."""

    make: Callable[[int], bytes] = bytes

    def bytes_for(self, target: Target) -> bytes:
        """The bytes that are sent."""
        return self.make(target.max_message)


@dataclass(frozen=True)
class EarlyFrame(BadFrames):
    """A frame that comes together with the request."""

    async def prepare(self, target: Target) -> Socket:
        """Only connect."""
        return await target.connect()

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the close frame's code."""
        await socket.request(target.request() + self.data)
        return (await socket.closed())[0]


@dataclass(frozen=True)
class GoodFrames(BadFrames):
    """Bytes that hold one message, which is answered."""

    async def strike(self, target: Target, socket: Socket) -> int:
        """Ends with the answer."""
        socket.send_raw(self.data)
        opcode, payload = await socket.frame()
        assert opcode == TEXT, payload
        return SERVED


def _header(length: int, size: int, first: int = 0x82) -> bytes:
    """The header of a frame that says it has `length` bytes, in a field of `size`."""
    return bytes([first, 0x80 | {2: 126, 8: 127}[size]]) + length.to_bytes(size, "big") + b"mask"


def _close(code: int, reason: bytes = b"") -> bytes:
    return client_frame(CLOSE, code.to_bytes(2, "big") + reason)


def _fragments(limit: int) -> bytes:
    """Four fragments as large as the limit together, and one more byte."""
    size = limit // 4
    # A mask of zeros leaves the payload as it is.
    frames = [
        (_header(size, 8, opcode) if size > 65535 else _header(size, 2, opcode))[:-4] + bytes(4 + size)
        for opcode in (BINARY, CONTINUATION, CONTINUATION, CONTINUATION)
    ]
    return b"".join(frames) + client_frame(CONTINUATION, b"x")


_TEXTS = {
    "a byte that never occurs": b"\xff",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xe0\x80\x80",
    "a surrogate": b"\xed\xa0\x80",
    "a character beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "a lonely continuation byte": b"\x80",
    "a character that is cut off": b"ok\xe2\x82",
}
_ALLOWED = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
_FORBIDDEN = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
_START = client_frame(TEXT, QUESTION[:CUT], final=False)

FRAMES: list[Attack] = [
    *(
        BadFrames(f"RSV bits {bits:03b}", 1002, data=client_frame(TEXT, b"x", reserved=bits))
        for bits in range(1, 8)
    ),
    *(
        BadFrames(f"RSV bit on opcode {opcode}", 1002, data=client_frame(opcode, b"", reserved=4))
        for opcode in (BINARY, CLOSE, PING, PONG)
    ),
    BadFrames("RSV bit on a continuation", 1002, data=_START + client_frame(CONTINUATION, b"", reserved=4)),
    *(
        BadFrames(f"opcode {opcode}", 1002, data=client_frame(opcode, b""))
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ),
    *(
        BadFrames(f"opcode {opcode} not masked", 1002, data=build(opcode, b""))
        for opcode in (TEXT, BINARY, CLOSE, PING, PONG)
    ),
    *(
        BadFrames(f"control {opcode} in fragments", 1002, data=client_frame(opcode, b"", final=False))
        for opcode in (CLOSE, PING, PONG)
    ),
    *(
        BadFrames(f"control {opcode} of 126 bytes", 1002, data=client_frame(opcode, bytes(126)))
        for opcode in (CLOSE, PING, PONG)
    ),
    BadFrames("ping of 2**62 bytes", 1002, data=_header(1 << 62, 8, 0x80 | PING)),
    BadFrames("continuation of nothing", 1002, data=client_frame(CONTINUATION, b"x")),
    BadFrames(
        "last continuation twice",
        1002,
        data=_START + client_frame(CONTINUATION, QUESTION[CUT:]) + client_frame(CONTINUATION, b""),
    ),
    BadFrames("text within a text", 1002, data=_START + client_frame(TEXT, b"x")),
    BadFrames("binary within a text", 1002, data=_START + client_frame(BINARY, b"x", final=False)),
    BadFrames("125 bytes in a field of two", 1002, data=_header(125, 2)),
    BadFrames("65,535 bytes in a field of eight", 1002, data=_header(65535, 8)),
    BadFrames("2**31 bytes", 1009, data=_header(1 << 31, 8)),
    BadFrames("2**32 + 1 bytes", 1009, data=_header((1 << 32) + 1, 8)),
    BadFrames("2**62 bytes", 1009, data=_header(1 << 62, 8)),
    BadFrames("2**63 - 1 bytes", 1009, data=_header((1 << 63) - 1, 8)),
    BadFrames("2**63 bytes", 1002, data=_header(1 << 63, 8)),
    BadFrames("2**64 - 1 bytes", 1002, data=_header((1 << 64) - 1, 8)),
    BadFrames("2**31 bytes of continuation", 1009, data=_START + _header(1 << 31, 8, CONTINUATION)),
    BadFrames("2**63 - 1 bytes of continuation", 1009, data=_START + _header((1 << 63) - 1, 8, CONTINUATION)),
    TooBig("message one byte too big", 1009, make=lambda limit: _header(limit + 1, 8)),
    TooBig("fragments one byte too big", 1009, times=1, make=_fragments),
    *(BadFrames(f"text with {name}", 1007, data=client_frame(TEXT, text)) for name, text in _TEXTS.items()),
    BadFrames(
        "text with a character broken between fragments",
        1007,
        data=_START + client_frame(CONTINUATION, b"x" + QUESTION[CUT:]),
    ),
    BadFrames("text that is no UTF-8 and never ends", 1007, data=client_frame(TEXT, b"\xff" * 100)[:20]),
    *(BadFrames(f"close code {code}", 1002, data=_close(code)) for code in _FORBIDDEN),
    BadFrames("half a close code", 1002, data=client_frame(CLOSE, b"\x03")),
    BadFrames("close reason that is no UTF-8", 1007, data=_close(1000, b"\xff")),
    BadFrames("close reason that is cut off", 1007, data=_close(1000, b"\xe2\x82")),
    *(
        BadFrames(f"close code {code}, allowed", code, data=_close(code, "até já".encode()))
        for code in _ALLOWED
    ),
    BadFrames(
        "frames after the close", 1000, data=_close(1000) + client_frame(TEXT, QUESTION) * 3 + _close(1001)
    ),
    BadFrames("bad frame after the close", 1000, data=_close(1000) + client_frame(3, b"x")),
    BadFrames(
        "frames after a bad one",
        1002,
        data=client_frame(3, b"x") + client_frame(TEXT, QUESTION) * 3 + _close(1000),
    ),
    BadFrames("binary where text was agreed to", 1003, on_echo=False, data=client_frame(BINARY, b"x")),
    EarlyFrame("frame before the answer", 1002, data=client_frame(TEXT, QUESTION)),
    GoodFrames(
        "a character cut by fragments, a ping with it",
        SERVED,
        data=_START + client_frame(PONG, b"") + client_frame(CONTINUATION, QUESTION[CUT:]),
    ),
    GoodFrames(
        "a text in fragments of one byte",
        SERVED,
        data=b"".join(
            client_frame(
                CONTINUATION if number else TEXT,
                QUESTION[number : number + 1],
                final=number + 1 == len(QUESTION),
            )
            for number in range(len(QUESTION))
        ),
    ),
]

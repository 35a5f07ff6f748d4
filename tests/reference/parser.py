"""`ext.parser` in plain Python: gathers everything, then judges frame by frame."""

from reference.frames import mask, utf8_verdict

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ALLOWED_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


class Violation(Exception):
    """The peer broke the protocol."""


class ReferenceParser:
    """The same interface as `ext.parser.Parser`, without its early checks within a frame."""

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._data = b""
        self._message: bytes | None = None
        self._opcode = 0
        self._ended = False
        self.violation_code: int | None = None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Parse the next bytes of the connection."""
        out: list[tuple[int, bytes]] = []
        if self._ended:
            return out
        self._data += data
        try:
            while not self._ended and self._frame(out):
                pass
        except Violation as violation:
            self.violation_code = violation.args[0]
            self._ended = True
        return out

    def _frame(self, out: list[tuple[int, bytes]]) -> bool:  # noqa: PLR0912 - one rule a branch
        data = self._data
        if not data:
            return False
        first = data[0]
        opcode, final = first & 15, first >> 7
        if first & 0x70 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(1002)
        if opcode >= CLOSE and not final:
            raise Violation(1002)
        if opcode == CONTINUATION and self._message is None:
            raise Violation(1002)
        if opcode in (TEXT, BINARY) and self._message is not None:
            raise Violation(1002)
        if len(data) < 2:
            return False
        size = data[1] & 0x7F
        if not data[1] & 0x80 or (opcode >= CLOSE and size > 125):
            raise Violation(1002)
        extended = {126: 2, 127: 8}.get(size, 0)
        if len(data) < 2 + extended + 4:
            return False
        if extended:
            size = int.from_bytes(data[2 : 2 + extended], "big")
            if size < (126 if extended == 2 else 65536) or size >> 63:
                raise Violation(1002)
        if opcode < CLOSE and size + len(self._message or b"") > self._max_message:
            raise Violation(1009)
        start = 2 + extended + 4
        payload = mask(data[start : start + size], data[start - 4 : start])
        kind = opcode or self._opcode
        if kind == TEXT and utf8_verdict((self._message or b"") + payload) == "invalid":
            raise Violation(1007)
        if len(payload) < size:
            return False
        self._data = data[start + size :]
        self._complete(opcode, bool(final), payload, out)
        return True

    def _complete(self, opcode: int, final: bool, payload: bytes, out: list[tuple[int, bytes]]) -> None:
        if opcode >= CLOSE:
            if opcode == CLOSE:
                self._check_close(payload)
                self._ended = True
            out.append((opcode, payload))
            return
        if opcode != CONTINUATION:
            self._opcode, self._message = opcode, b""
        assert self._message is not None
        self._message += payload
        if final:
            if self._opcode == TEXT and utf8_verdict(self._message) != "whole":
                raise Violation(1007)
            out.append((self._opcode, self._message))
            self._message, self._opcode = None, 0

    def _check_close(self, payload: bytes) -> None:
        if len(payload) == 1:
            raise Violation(1002)
        if payload:
            if int.from_bytes(payload[:2], "big") not in ALLOWED_CODES:
                raise Violation(1002)
            if utf8_verdict(payload[2:]) != "whole":
                raise Violation(1007)

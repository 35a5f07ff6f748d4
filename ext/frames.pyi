from collections.abc import Callable
from typing import Any

CONTINUATION: int
TEXT: int
BINARY: int
CLOSE: int
PING: int
PONG: int

class Message:
    """A message to any number of receivers: encoded, framed and compressed at most once a kind."""

    def __init__(
        self,
        value: Any,
        encode_text: Callable[[Any], bytes],
        encode_binary: Callable[[Any], bytes],
        deflate_above: int = -1,
    ) -> None: ...
    def built(self, binary: bool, deflated: bool) -> bytes: ...

def build(opcode: int, payload: bytes | bytearray | memoryview) -> bytes: ...
def build_close(code: int, reason: str) -> bytes: ...
def mask(data: bytes, key: bytes, offset: int = 0) -> bytes: ...
def deflate_payload(payload: bytes, window: int = 15) -> bytes: ...
def inflate_payload(payload: bytes, limit: int) -> bytes | None: ...
def utf8_state(data: bytes, state: int = 0) -> int: ...

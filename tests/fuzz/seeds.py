"""Writes the first inputs of the fuzzer: the frames that the parser's own tests build.

python tests/fuzz/seeds.py FOLDER
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ext import frames
from ext.frames import deflate_payload

TESTS = Path(__file__).parent.parent
# Of the first byte of an input (harness.pyx): the limit's number and what else is chosen.
LIMIT_70000, LIMIT_125 = 6, 2
DEFLATE, FRAMED, THOROUGH = 8, 16, 32
# Larger inputs are cut by the fuzzer; large payloads are made by records.
MAX_INPUT = 4096


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def streams() -> Iterator[bytes]:
    """What clients send: everything the tests call a violation, and what is allowed."""
    tests = _module(TESTS / "unit" / "ext" / "test_parser.py")
    (violations,) = tests.test_violations_have_their_code.pytestmark
    for case in violations.args[1]:
        yield case.values[0]
    frame = tests.client_frame
    euro = "€".encode()
    text, binary = frame(frames.TEXT, b"one"), frame(frames.BINARY, b"two")
    ping, pong = frame(frames.PING, b"now"), frame(frames.PONG, b"")
    yield text + ping + binary + pong
    yield frame(frames.TEXT, b"he", final=False) + ping + frame(frames.CONTINUATION, b"llo")
    yield frame(frames.TEXT, euro[:1], final=False) + frame(frames.CONTINUATION, euro[1:])
    yield frame(frames.BINARY, b"", final=False) + frame(frames.CONTINUATION, b"", final=False) * 5
    yield frame(frames.BINARY, b"y" * 126) + frame(frames.TEXT, "\U0001f600".encode() * 300)
    yield frame(frames.TEXT, b"cut")[:-1]
    for payload in (b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa1" + euro):
        yield frame(frames.CLOSE, payload) + text
    packed = deflate_payload(b"compress me " * 50)
    yield frame(frames.TEXT, packed, reserved=4) + ping
    yield frame(frames.TEXT, packed[:9], final=False, reserved=4) + frame(frames.CONTINUATION, packed[9:])


def records() -> Iterator[bytes]:
    """What harness.pyx makes frames of: first byte, length, key's seed, payload."""
    yield b"\x81\x05\x07hello" + b"\x89\x03\x00now" + b"\x88\x02\x01\x03\xe8"
    yield b"\x01\x02\x07he" + b"\x80\x03\x09llo"
    yield b"\x02\xff\x41" + b"\x80\x01\x00x"
    yield b"\xc2\x05\x01" + deflate_payload(b"aaaa")


def inputs() -> Iterator[bytes]:
    """Every stream and record in several set-ups."""
    for stream in streams():
        for choice in (LIMIT_70000 | THOROUGH, LIMIT_70000 | DEFLATE, LIMIT_125 | THOROUGH):
            yield bytes([choice, 3, 7, 0]) + stream
    for record in records():
        for choice in (LIMIT_70000 | THOROUGH, LIMIT_70000 | DEFLATE):
            yield bytes([choice | FRAMED, 5, 1, 0]) + record


def main() -> None:
    """Write one file an input, named after its contents."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs():
        if len(data) <= MAX_INPUT:
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    main()

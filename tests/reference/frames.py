"""`ext.frames` in plain Python."""

import codecs


def build(opcode: int, payload: bytes) -> bytes:
    """A whole, unmasked frame."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = bytes([126]) + size.to_bytes(2, "big")
    else:
        length = bytes([127]) + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + payload


def mask(data: bytes, key: bytes, offset: int = 0) -> bytes:
    """`data` XORed with `key`."""
    return bytes(byte ^ key[(offset + i) % 4] for i, byte in enumerate(data))


def client_frame(
    opcode: int, payload: bytes, *, final: bool = True, key: bytes = b"\x01\x02\x03\x04", reserved: int = 0
) -> bytes:
    """A frame as a client sends it: masked. `reserved` are the three RSV bits."""
    frame = build(opcode, payload)
    first = (0x80 if final else 0) | reserved << 4 | opcode
    header = frame[1 : len(frame) - len(payload)]
    return bytes([first, header[0] | 0x80]) + header[1:] + key + mask(payload, key)


def utf8_verdict(data: bytes) -> str:
    """Whether `data` is "whole", "unfinished" or "invalid" UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(data)
        except UnicodeDecodeError:
            return "invalid"
        return "unfinished"
    return "whole"

"""`ext.frames` in plain Python."""


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


# One of these makes a whole of the beginning of any character.
_ENDINGS = (b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0\x80", b"\x90\x80\x80")


def utf8_verdict(data: bytes) -> str:
    """Whether `data` is "whole", "unfinished" or "invalid" UTF-8."""
    # Python's incremental decoder would wait for the third byte of a surrogate.
    for ending in _ENDINGS:
        try:
            (data + ending).decode()
        except UnicodeDecodeError:
            continue
        return "unfinished" if ending else "whole"
    return "invalid"

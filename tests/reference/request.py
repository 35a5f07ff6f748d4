"""`ext.request.Cutter` in plain Python."""


class ReferenceCutter:
    """The same interface."""

    def __init__(self, *names: str) -> None:
        self._names = [name.lower().encode() for name in names]

    def cut(self, head: bytes) -> tuple[bytes, list[bytes | None]] | None:
        """What is left, and the values."""
        values: list[bytes | None] = [None] * len(self._names)
        left = []
        for line in head.split(b"\r\n"):
            if line.startswith((b" ", b"\t")):
                return None
            name, colon, value = line.partition(b":")
            if colon and name.lower() in self._names:
                index = self._names.index(name.lower())
                value = value.strip(b" ")
                if values[index] is not None or not all(32 <= byte < 127 for byte in value):
                    return None
                values[index] = value
                left.append(name + colon)
            else:
                left.append(line)
        return b"\r\n".join(left), values

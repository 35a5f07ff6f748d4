"""Agreeing on compression per message (permessage-deflate, RFC 7692 §7.1).

Neither side keeps a window from one message to the next: no connection owns a compressor, and one
compressed frame serves every receiver that agreed to the full window.
"""

from collections.abc import Iterable

from msgspec import Struct

HEADER = "Sec-WebSocket-Extensions"
NAME = "permessage-deflate"
LARGEST = 15


class Agreement(Struct, frozen=True):
    """The header's value that accepts an offer, and the logarithm of our window."""

    answer: str
    window: int


def agree(lines: Iterable[str]) -> Agreement | None:
    """Accept the first offer in the header's `lines` that is well-formed and can be met, if any."""
    for line in lines:
        for offer in line.split(","):
            name, *parameters = [part.strip() for part in offer.split(";")]
            if name.lower() == NAME and (agreement := _accept(parameters)):
                return agreement
    return None


def _accept(parameters: list[str]) -> Agreement | None:
    values: dict[str, str | None] = {}
    for parameter in parameters:
        name, equals, text = (part.strip() for part in parameter.partition("="))
        if name in values:
            return None
        values[name] = _unquote(text) if equals else None
    window = LARGEST
    answer = [NAME, "server_no_context_takeover", "client_no_context_takeover"]
    for name, value in values.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif name == "server_max_window_bits":
            if value is None or not _is_window(value):
                return None
            window = int(value)
            answer.append(f"server_max_window_bits={window}")
        elif name == "client_max_window_bits":
            # Any window of the client's can be read; it need not be told one.
            if value is not None and not _is_window(value):
                return None
        else:
            return None
    return Agreement("; ".join(answer), window)


def _unquote(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


def _is_window(value: str) -> bool:
    return value in {str(bits) for bits in range(8, LARGEST + 1)}

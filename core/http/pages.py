"""Lists page by page: `limit` and `cursor` in, `items` and `next_cursor` out."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from litestar.params import QueryParameter

from core.errors import InvalidInput

T = TypeVar("T")

PAGE_MAX = 200
PAGE_DEFAULT = 50

# The greatest numbers that the stores know.
ENTRY_MOST = (1 << 63) - 1
EPOCH_MOST = (1 << 31) - 1

#: Parameters of a handler that lists something.
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Items on a page.")]
Cursor = Annotated[str | None, QueryParameter(max_length=64, description="`next_cursor` of the page before.")]


def cursor_of(last: UUID) -> str:
    """The cursor of the page behind the item `last`; only we can read anything into it."""
    return urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def position(cursor: str | None) -> UUID | None:
    """Behind which item a page begins; None is the first page.

    Raises:
        InvalidInput: "invalid_input", field "cursor".
    """
    if cursor is None:
        return None
    try:
        found = UUID(bytes=urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("invalid_input", "cursor: is not one of ours.", field="cursor") from error
    if cursor_of(found) != cursor:
        raise InvalidInput("invalid_input", "cursor: is not one of ours.", field="cursor")
    return found


def number_of(cursor: str | None, most: int) -> int | None:
    """Before which number, up to `most`, a page of numbered items begins; None is the first page.

    Raises:
        InvalidInput: "invalid_input", field "cursor".
    """
    found = position(cursor)
    if found is not None and found.int > most:
        raise InvalidInput("invalid_input", "cursor: is not one of ours.", field="cursor")
    return found.int if found else None


def split(found: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """The page of `limit` items, and its last if there are more: `found` has up to one item more."""
    page = found[:limit]
    return page, page[-1] if len(found) > limit else None

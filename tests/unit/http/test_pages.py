from base64 import urlsafe_b64decode
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.http.pages import cursor_of, position, split


@given(st.uuids())
def test_a_cursor_leads_back_to_where_it_was_made(last: UUID) -> None:
    assert position(cursor_of(last)) == last


def test_without_a_cursor_it_is_the_first_page() -> None:
    assert position(None) is None


def of_ours(text: str) -> bool:
    try:
        return cursor_of(UUID(bytes=urlsafe_b64decode(text + "=="))) == text
    except ValueError:
        return False


@given(st.text(max_size=64).filter(lambda text: not of_ours(text)))
@example("AAAAAAAAAAAAAAAAAAAAAB")
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        position(text)
    assert (refused.value.code, refused.value.extra) == ("invalid_input", {"field": "cursor"})


@pytest.mark.parametrize(("count", "more"), [(0, False), (2, False), (3, False), (4, True)])
def test_there_is_a_next_page_only_if_there_is_more(count: int, more: bool) -> None:
    page, last = split(list(range(count)), 3)
    assert list(page) == list(range(min(count, 3)))
    assert last == (2 if more else None)

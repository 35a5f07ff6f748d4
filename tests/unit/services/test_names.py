import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from services.names import NAME_LENGTH, clean_name, label


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("attic", "attic"),
        ("  two words ", "two words"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("دفتر", "دفتر"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("x" * NAME_LENGTH, "x" * NAME_LENGTH),
    ],
)
def test_a_name_in_any_script_is_kept(given_name: str, kept: str) -> None:
    assert clean_name(given_name, "name") == kept


@pytest.mark.parametrize(
    "bad",
    ["", "   ", "x" * (NAME_LENGTH + 1), "a\0b", "a\nb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\ud800b"],
)
def test_a_name_that_would_break_a_line_or_lie_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_name(bad, "display_name")
    assert refused.value.code == "invalid_input"
    assert refused.value.extra == {"field": "display_name"}


@given(st.text())
def test_a_label_is_always_printable_and_bounded(text: str) -> None:
    cut = label(text, 20)
    assert len(cut) <= 20
    assert cut.isprintable()

"""Agreeing on compression."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.engine.deflate import agree

BASE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer", "window"),
    [
        ("permessage-deflate", BASE, 15),
        ("permessage-deflate; client_max_window_bits", BASE, 15),
        ("permessage-deflate; client_max_window_bits=8", BASE, 15),
        ("permessage-deflate; server_max_window_bits=8", f"{BASE}; server_max_window_bits=8", 8),
        ("permessage-deflate; server_max_window_bits=9", f"{BASE}; server_max_window_bits=9", 9),
        ('permessage-deflate; server_max_window_bits="12"', f"{BASE}; server_max_window_bits=12", 12),
        ("Permessage-Deflate ;server_no_context_takeover", BASE, 15),
        ("x-webkit-deflate-frame, permessage-deflate", BASE, 15),
        ("permessage-deflate; server_max_window_bits=7, permessage-deflate", BASE, 15),
    ],
)
def test_an_offer_that_can_be_met_is_accepted(offer, answer, window):
    agreement = agree([offer])
    assert agreement is not None
    assert (agreement.answer, agreement.window) == (answer, window)


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        'permessage-deflate; server_max_window_bits="12',
        'permessage-deflate; server_max_window_bits=""12""',
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown",
    ],
)
def test_an_offer_that_is_wrong_or_cannot_be_met_is_declined(offer):
    assert agree([offer]) is None


def test_the_first_good_offer_over_all_lines_counts():
    agreement = agree(
        ["permessage-deflate; server_max_window_bits=20", "permessage-deflate; server_max_window_bits=10"]
    )
    assert agreement is not None
    assert agreement.window == 10


@given(st.lists(st.text(max_size=60), max_size=3))
def test_no_header_breaks_it(lines):
    agree(lines)

"""Figures that count up keep the way their owner writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.film.figures import counted


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("10,000+", "5,000+"),
        ("4.8", "2.4"),
        ("4,8", "2,4"),
        ("1.299,50 \u20ac", "649,75 \u20ac"),
        ("$29", "$14"),
        ("12 000 km", "6 000 km"),
        ("98 %", "49 %"),
        ("24/7", "12/7"),
        ("no number", "no number"),
    ],
)
def test_half_way(text: str, half: str) -> None:
    assert counted(text, 0.5) == half


@given(st.text(max_size=20), st.floats(0, 1))
def test_any_text_at_any_share(text: str, share: float) -> None:
    assert counted(text, 1.0) == text
    assert isinstance(counted(text, share), str)


@given(st.integers(0, 10**9), st.sampled_from(["{:,}", "{}", "{:,}+", "${:,}"]))
def test_it_rises_and_never_passes_the_figure(value: int, form: str) -> None:
    shown = [counted(form.format(value), step / 30) for step in range(31)]
    numbers = [int("".join(sign for sign in text if sign.isdigit())) for text in shown]
    assert numbers == sorted(numbers)
    assert shown[-1] == form.format(value)

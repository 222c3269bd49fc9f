"""A brand's colour takes the place of a look's accent, and nothing becomes unreadable."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.film.colors import contrast, on
from pipeline.film.themes import THEMES, readable_accent, theme_of

COLORS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06X}")


def test_without_one_a_look_is_its_own() -> None:
    assert all(theme_of(style) is theme for style, theme in THEMES.items())


@settings(max_examples=200, deadline=None)
@given(COLORS, st.sampled_from(sorted(THEMES)))
def test_everything_stays_readable(color: str, style: str) -> None:
    theme = theme_of(style, color)
    look = theme.caption
    assert theme.accent == color
    assert min(contrast("#FFFFFF", ground) for ground in theme.art) >= 4.5, "the words on generated art"
    assert contrast(on(theme.accent), theme.accent) >= 4.0, "the words on a button"
    assert contrast(readable_accent(theme), theme.background[0]) >= 3.0
    ground = look.chip or look.outline or look.box
    assert contrast(look.active, ground) >= (4.0 if look.chip or look.active == color else 3.0)


@pytest.mark.parametrize("style", sorted(THEMES))
def test_it_is_seen(style: str) -> None:
    theme = theme_of(style, "#00E0A0")
    assert "#00E0A0" in {theme.caption.chip, theme.caption.active}

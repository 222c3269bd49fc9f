"""A brand's colour takes the place of a look's accent, and nothing becomes unreadable."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.film.colors import contrast, distance, on
from pipeline.film.themes import THEMES, TOLD, readable_accent, theme_of

COLORS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06X}")


def test_without_one_a_look_is_its_own() -> None:
    assert all(theme_of(style) is theme for style, theme in THEMES.items())


@settings(max_examples=200, deadline=None)
@given(COLORS, st.sampled_from(sorted(THEMES)))
@example("#FFFFFF", "minimal")
@example("#FFFFFF", "bold")
@example("#FFE600", "playful")
@example("#000000", "elegant")
def test_everything_stays_readable(color: str, style: str) -> None:
    theme = theme_of(style, color)
    look = theme.caption
    if distance(color, theme.background[0]) >= TOLD:
        assert theme.accent == color
    assert distance(theme.accent, theme.background[0]) >= TOLD, "a button on its ground"
    assert min(contrast("#FFFFFF", ground) for ground in theme.art) >= 4.5, "the words on generated art"
    assert contrast(on(theme.accent), theme.accent) >= 4.0, "the words on a button"
    assert contrast(readable_accent(theme), theme.background[0]) >= 3.0
    ground = look.chip or look.outline or look.box
    assert contrast(look.active, ground) >= (4.0 if look.chip or look.active == color else 3.0)
    if look.outline:
        assert contrast(look.active, look.active_outline) >= 4.0, "letters in their outline"
    if look.chip:
        assert distance(look.chip, look.box or theme.background[0]) >= TOLD, "the spoken word's ground"
    else:
        assert distance(look.active, look.color) >= 0.15, "the spoken word beside the others"


@pytest.mark.parametrize("style", sorted(THEMES))
def test_it_is_seen(style: str) -> None:
    theme = theme_of(style, "#00E0A0")
    assert "#00E0A0" in {theme.caption.chip, theme.caption.active}

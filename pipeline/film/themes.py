"""The looks by name, one file each in `looks/`; with a brand's colour where a user gives one."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from pipeline.film.colors import contrast, luminance, mix, on
from pipeline.film.fonts import Wardrobe
from pipeline.film.script import STYLES
from pipeline.film.theme import Theme

READABLE, CAPTION_READABLE = 3.0, 4.5  # WCAG's ratios for large text, and for text
DEEP = 0.16  # luminance under which white is read with a ratio of 5

THEMES: dict[str, Theme] = {name: import_module(f"pipeline.film.looks.{name}").THEME for name in STYLES}


def theme_of(style: str, brand: str = "") -> Theme:
    """A look; with a brand's colour (#RRGGBB) in the place of its accent, wherever that can be read there."""
    theme = THEMES[style]
    if not brand:
        return theme
    look = theme.caption
    if look.chip:
        look = replace(look, chip=brand, active=on(brand))
    elif contrast(brand, look.outline or look.box) >= CAPTION_READABLE:
        look = replace(look, active=brand)
    art = _art_of(brand)
    highlight = theme.highlight
    if highlight == theme.accent and min(contrast(brand, ground) for ground in art) >= READABLE:
        highlight = brand
    return replace(theme, accent=brand, highlight=highlight, art=art, caption=look)


def dressed(theme: Theme, wardrobe: Wardrobe) -> Theme:
    """The look with faces of other writing systems behind its own."""
    caption = replace(theme.caption, face=wardrobe.dress(theme.caption.face))
    return replace(
        theme,
        display=wardrobe.dress(theme.display),
        text=wardrobe.dress(theme.text),
        small=wardrobe.dress(theme.small),
        caption=caption,
    )


def _art_of(brand: str) -> tuple[str, ...]:
    """Five shades of a colour, each dark enough for white text."""
    deep = brand
    while luminance(deep) > DEEP:
        deep = mix(deep, "#000000", 0.12)
    shades = (mix(deep, "#000000", share) for share in (0.15, 0.45, 0.0, 0.6, 0.3))
    return tuple(shades)


def readable_accent(theme: Theme) -> str:
    """The accent where it reads on the theme's background, else the ink."""
    return theme.accent if contrast(theme.accent, theme.background[0]) >= READABLE else theme.ink

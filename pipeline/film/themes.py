"""The looks by name, one file each in `looks/`; with a brand's colour where a user gives one."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from pipeline.film.colors import contrast, distance, luminance, mix, on
from pipeline.film.fonts import Wardrobe
from pipeline.film.script import STYLES
from pipeline.film.theme import Theme

READABLE, CAPTION_READABLE = 3.0, 4.5  # WCAG's ratios for large text, and for text
CLEAR = 4.0  # of a coloured title or price: a greyed one should not look switched off
DEEP, BRIGHT = 0.16, 0.4  # luminances: under the one white is read with a ratio of 5; above the other a colour is light
NIGHT, TINT = "#15191D", 0.14
TOLD = 0.3  # how far apart two colours must be to be told from each other

THEMES: dict[str, Theme] = {name: import_module(f"pipeline.film.looks.{name}").THEME for name in STYLES}


def theme_of(style: str, brand: str = "") -> Theme:
    """A look; with a brand's colour (#RRGGBB) in the place of its accent, wherever that can be read there."""
    theme = THEMES[style]
    if not brand:
        return theme
    look = theme.caption
    if look.chip:
        chip = told_from(brand, look.box or theme.background[0])
        look = replace(look, chip=chip, active=on(chip))
    elif contrast(brand, look.outline or look.box) >= CAPTION_READABLE and distance(brand, look.color) >= TOLD:
        look = replace(look, active=brand)
    art = _art_of(brand)
    highlight = theme.highlight
    if highlight == theme.accent and min(contrast(brand, ground) for ground in art) >= READABLE:
        highlight = brand
    return replace(theme, accent=told_from(brand, theme.background[0]), highlight=highlight, art=art, caption=look)


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


def told_from(color: str, ground: str) -> str:
    """The colour, or one so much lighter or darker that it is not lost on its ground."""
    away = "#FFFFFF" if luminance(ground) < DEEP else "#000000"
    while distance(color, ground) < TOLD:
        color = mix(color, away, 0.1)
    return color


def _art_of(brand: str) -> tuple[str, ...]:
    """Five shades of a colour, each dark enough for white text; a bright one, which would turn to mud, tints a night."""
    deep = mix(NIGHT, brand, TINT) if luminance(brand) > BRIGHT else brand
    while luminance(deep) > DEEP:
        deep = mix(deep, "#000000", 0.12)
    shades = (mix(deep, "#000000", share) for share in (0.15, 0.45, 0.0, 0.6, 0.3))
    return tuple(shades)


def readable_accent(theme: Theme) -> str:
    """The accent where it reads on the theme's background, else the ink."""
    return theme.accent if contrast(theme.accent, theme.background[0]) >= CLEAR else theme.ink

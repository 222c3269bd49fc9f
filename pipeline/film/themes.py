"""The four looks. A new theme is one entry in THEMES (and its name in script.Style)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.film import fonts
from pipeline.film.fonts import Face

CaptionMode = Literal["box", "outline", "veil", "pill"]
TransitionKind = Literal["fade", "push", "circle"]
OrnamentKind = Literal["rings", "stripes", "frame", "blobs"]
READABLE, CAPTION_READABLE = 3.0, 4.5  # WCAG's ratios for large text, and for text
DEEP = 0.16  # luminance under which white is read with a ratio of 5


@dataclass(frozen=True)
class CaptionLook:
    """How spoken words are shown: a box with a chip, an outline, a dark veil or a pill behind the active word."""

    mode: CaptionMode
    face: Face
    px: float
    color: str
    active: str
    chip: str = ""
    box: str = ""
    outline: str = ""
    upper: bool = False
    pop: float = 1.0


@dataclass(frozen=True)
class Theme:
    """One look: colours (#RRGGBB), faces, corner radius (share of a card's width), the cut and the captions."""

    name: str
    background: tuple[str, ...]
    ink: str
    accent: str
    highlight: str
    art: tuple[str, ...]
    panel: str
    display: Face
    text: Face
    caption: CaptionLook
    ornament: OrnamentKind
    transition: TransitionKind
    transition_seconds: float
    radius: float
    button_radius: float
    upper: bool = False
    leading: float = 1.08
    display_scale: float = 1.0


THEMES: dict[str, Theme] = {
    "minimal": Theme(
        name="minimal",
        background=("#F4EFE8", "#EDE5DA", "#F8F4EE", "#E6DDD0"),
        ink="#15191D",
        accent="#1C6B67",
        highlight="#F2C14E",
        art=("#1C6B67", "#124A4A", "#2F7F78", "#0F3B40", "#3B7C78"),
        panel="#FFFFFF",
        display=fonts.DISPLAY,
        text=fonts.TEXT,
        caption=CaptionLook(
            "box", fonts.TEXT_BOLD, 74, color="#2A2B33", active="#FFFFFF", chip="#1C6B67", box="#FFFFFF"
        ),
        ornament="rings",
        transition="fade",
        transition_seconds=0.5,
        radius=0.062,
        button_radius=0.5,
    ),
    "bold": Theme(
        name="bold",
        background=("#101014", "#16101E", "#2A0F38", "#0B0B10"),
        ink="#FFFFFF",
        accent="#FFD60A",
        highlight="#FFD60A",
        art=("#5B1488", "#26104A", "#8A1C74", "#160C2C", "#3A1470"),
        panel="#241B33",
        display=fonts.SPARTAN_BLACK,
        text=fonts.TEXT_BOLD,
        caption=CaptionLook(
            "outline", fonts.BEBAS, 112, color="#FFFFFF", active="#FFD60A", outline="#000000", upper=True, pop=1.06
        ),
        ornament="stripes",
        transition="push",
        transition_seconds=0.5,
        radius=0.05,
        button_radius=0.5,
        upper=True,
        leading=1.0,
        display_scale=1.02,
    ),
    "elegant": Theme(
        name="elegant",
        background=("#16120D", "#211A12", "#2C2317", "#0F0C09"),
        ink="#F6F0E4",
        accent="#D8B26E",
        highlight="#D8B26E",
        art=("#3A2C1A", "#1B140D", "#4A3820", "#120E0A", "#2C2116"),
        panel="#352A1C",
        display=fonts.CARDO,
        text=fonts.TEXT,
        caption=CaptionLook("veil", fonts.CARDO, 78, color="#FBF6EA", active="#E9C583", box="#15110C"),
        ornament="frame",
        transition="fade",
        transition_seconds=0.8,
        radius=0.0,
        button_radius=0.0,
        leading=1.16,
        display_scale=1.08,
    ),
    "playful": Theme(
        name="playful",
        background=("#FFE9CF", "#FFD3DF", "#FFF1DC", "#FFC4DD"),
        ink="#2A1B55",
        accent="#FF6B86",
        highlight="#FFC93C",
        art=("#6C4CE0", "#8A5CF0", "#5436C4", "#B04BD8", "#4A2FB4"),
        panel="#FFFFFF",
        display=fonts.SPARTAN,
        text=fonts.TEXT_BOLD,
        caption=CaptionLook(
            "pill", fonts.SPARTAN, 84, color="#FFFFFF", active="#FFFFFF", chip="#6C5CE7", outline="#2A1B55"
        ),
        ornament="blobs",
        transition="circle",
        transition_seconds=0.6,
        radius=0.09,
        button_radius=0.5,
    ),
}


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


def _art_of(brand: str) -> tuple[str, ...]:
    """Five shades of a colour, each dark enough for white text."""
    deep = brand
    while luminance(deep) > DEEP:
        deep = mix(deep, "#000000", 0.12)
    shades = (mix(deep, "#000000", share) for share in (0.15, 0.45, 0.0, 0.6, 0.3))
    return tuple(shades)


def luminance(color: str) -> float:
    """WCAG relative luminance of #RRGGBB, 0 to 1."""
    linear = []
    for at in (1, 3, 5):
        value = int(color[at : at + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def on(background: str, *, ink: str = "#15191D") -> str:
    """The text colour for a coloured ground: white or ink, whichever reads better."""
    return max(("#FFFFFF", ink), key=lambda color: contrast(color, background))


def readable_accent(theme: Theme) -> str:
    """The accent where it reads on the theme's background, else the ink."""
    return theme.accent if contrast(theme.accent, theme.background[0]) >= READABLE else theme.ink


def mix(one: str, other: str, share: float) -> str:
    """`share` of the other colour in the first, channel by channel."""
    channels = (
        round(int(one[at : at + 2], 16) * (1 - share) + int(other[at : at + 2], 16) * share) for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02X}" for channel in channels)

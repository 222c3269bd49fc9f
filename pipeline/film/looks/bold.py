"""Loud: black and violet, yellow capitals, hard pushes."""

from __future__ import annotations

from pipeline.film import fonts
from pipeline.film.theme import CaptionLook, Theme

THEME = Theme(
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
)

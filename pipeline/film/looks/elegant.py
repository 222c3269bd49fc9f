"""Quiet and dark: gold on near-black, a serif, slow dissolves."""

from __future__ import annotations

from pipeline.film import fonts
from pipeline.film.theme import CaptionLook, Theme

THEME = Theme(
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
)

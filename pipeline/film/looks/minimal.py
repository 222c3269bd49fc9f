"""Calm and clean: warm paper, deep green, one accent at a time."""

from __future__ import annotations

from pipeline.film import fonts
from pipeline.film.theme import CaptionLook, Theme

THEME = Theme(
    name="minimal",
    background=("#F4EFE8", "#EDE5DA", "#F8F4EE", "#E6DDD0"),
    ink="#15191D",
    accent="#1C6B67",
    highlight="#F2C14E",
    art=("#1C6B67", "#124A4A", "#2F7F78", "#0F3B40", "#3B7C78"),
    panel="#FFFFFF",
    display=fonts.DISPLAY,
    text=fonts.TEXT,
    caption=CaptionLook("box", fonts.TEXT_BOLD, 74, color="#2A2B33", active="#FFFFFF", chip="#1C6B67", box="#FFFFFF"),
    ornament="rings",
    transition="fade",
    transition_seconds=0.5,
    radius=0.062,
    button_radius=0.5,
)

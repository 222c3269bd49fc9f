"""Light-hearted: peach and pink, violet pills, circles that open."""

from __future__ import annotations

from pipeline.film import fonts
from pipeline.film.theme import CaptionLook, Theme

THEME = Theme(
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
        "pill", fonts.SPARTAN, 84, color="#FFFFFF", active="#FFFFFF", chip="#6C5CE7", rim="#FFFFFF", outline="#2A1B55"
    ),
    ornament="blobs",
    transition="circle",
    transition_seconds=0.6,
    radius=0.09,
    button_radius=0.5,
)

"""What a look is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.film import fonts
from pipeline.film.colors import contrast
from pipeline.film.fonts import Face

OUTLINED = 4.5  # the least contrast of letters with their outline

CaptionMode = Literal["box", "outline", "veil", "pill"]
TransitionKind = Literal["fade", "push", "circle"]
OrnamentKind = Literal["rings", "stripes", "frame", "blobs"]


@dataclass(frozen=True)
class CaptionLook:
    """How spoken words are shown: a box with a chip, an outline, a dark veil or a pill behind the active word."""

    mode: CaptionMode
    face: Face
    px: float
    color: str
    active: str
    chip: str = ""
    rim: str = ""  # around the chip, where it may stand on a ground of its own colour
    box: str = ""
    outline: str = ""
    upper: bool = False
    pop: float = 1.0

    @property
    def active_outline(self) -> str:
        """What is around the active word's letters: its chip where the outline would swallow dark ones."""
        return self.outline if contrast(self.active, self.outline) >= OUTLINED or not self.chip else self.chip

    @property
    def peak(self) -> float:
        """The scale of a word for the moment in which it becomes the active one."""
        return 1.0 if self.pop == 1.0 else self.pop * 1.04


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
    small: Face = fonts.TEXT

"""The vendored faces: their names for libass and how wide their text is, so that boxes are known before drawing.

Metrics come from the font file itself, so they do not depend on the host. Kerning is left out: it almost only narrows,
so a measured width is an upper bound, and words are placed one by one.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FONTS = Path(__file__).with_name("fonts")
WIDE_EM, NARROW_EM = 1.0, 0.6


@dataclass(frozen=True)
class Face:
    """One font file; `family` is the exact name libass must be asked for, otherwise it silently takes another."""

    file: str
    family: str
    bold: bool = False


DISPLAY = Face("InterDisplay-ExtraBold.otf", "Inter Display Extra Bold")
TEXT = Face("Inter-SemiBold.otf", "Inter Semi Bold")
TEXT_BOLD = Face("Inter-Bold.otf", "Inter", bold=True)
SPARTAN_BLACK = Face("LeagueSpartan-Black.otf", "League Spartan Black")
SPARTAN = Face("LeagueSpartan-ExtraBold.otf", "League Spartan ExtraBold")
BEBAS = Face("BebasNeue-Bold.otf", "Bebas Neue Bold")
CARDO = Face("Cardo104s.ttf", "Cardo")


@dataclass(frozen=True)
class Metrics:
    """A face's numbers in em: the Windows box that libass scales by, the height of capitals, advances by code point."""

    ascent: float
    descent: float
    cap_height: float
    advances: dict[int, float]


@cache
def metrics(face: Face) -> Metrics:
    """Read once a process from the font file."""
    from fontTools.ttLib import TTFont

    with TTFont(FONTS / face.file, lazy=True) as font:
        em = float(font["head"].unitsPerEm)
        os2, widths = font["OS/2"], font["hmtx"].metrics
        advances = {code: widths[glyph][0] / em for code, glyph in font.getBestCmap().items()}
        return Metrics(os2.usWinAscent / em, os2.usWinDescent / em, os2.sCapHeight / em, advances)


def width(text: str, face: Face, px: float, *, tracking: float = 0.0) -> float:
    """Upper bound of the width of one line, in pixels; `tracking` is extra space after each letter, in em."""
    advances = metrics(face).advances
    total = sum(advances.get(ord(letter), _fallback(letter)) + tracking for letter in text)
    return (total - (tracking if text else 0.0)) * px


def ass_size(face: Face, px: float) -> float:
    r"""Libass' `\fs` for an em of `px` pixels: it scales the Windows box, not the em."""
    m = metrics(face)
    return px * (m.ascent + m.descent)


def cap_shift(face: Face, px: float) -> float:
    r"""How far `\an5` must be moved down (pixels) so that capitals, not the line's box, are centred."""
    m = metrics(face)
    return px * (m.cap_height / 2 - (m.ascent - m.descent) / 2)


def covers(text: str, face: Face) -> bool:
    """Whether the face has every letter (otherwise the system's fonts step in, and words are not placed one by one)."""
    advances = metrics(face).advances
    return all(ord(letter) in advances for letter in text if not letter.isspace())


def _fallback(letter: str) -> float:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn"):
        return 0.0
    return WIDE_EM if unicodedata.east_asian_width(letter) in "WF" else NARROW_EM

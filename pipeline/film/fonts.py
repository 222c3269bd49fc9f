"""Faces: their names for libass and how wide their text is, so that boxes are known before drawing.

Metrics come from the font file itself, so they do not depend on the host. In the vendored faces kerning is left out: it
almost only narrows, so a measured width is an upper bound, and words are placed one by one. Faces of other writing
systems are measured by the shaper that draws them, because their letters change with their neighbours.

A letter that no face has is left out, in the width and in the picture: nobody is shown an empty box.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pipeline.film import scripts, sfnt
from pipeline.film.breaks import clusters
from pipeline.film.directions import has_right_to_left
from pipeline.film.scripts import script_of

FONTS = Path(__file__).with_name("fonts")
OURS = scripts.VENDORED | {""}  # what belongs to no script is everybody's
MEASURED_PX = 1000  # large enough that hinting and rounding do not matter


@dataclass(frozen=True)
class Face:
    """One font file, a name in FONTS or a path; for a wrong `family` libass silently takes another font.

    `others` write the letters that this face lacks; see scripts.Habit for the numbers with which each stands beside it.
    """

    file: str
    family: str
    bold: bool = False
    scale: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    joined: bool = False
    others: tuple[Face, ...] = ()


DISPLAY = Face("InterDisplay-ExtraBold.otf", "Inter Display Extra Bold")
TEXT = Face("Inter-SemiBold.otf", "Inter Semi Bold")
TEXT_BOLD = Face("Inter-Bold.otf", "Inter", bold=True)
SPARTAN_BLACK = Face("LeagueSpartan-Black.otf", "League Spartan Black")
SPARTAN = Face("LeagueSpartan-ExtraBold.otf", "League Spartan ExtraBold")
BEBAS = Face("BebasNeue-Bold.otf", "Bebas Neue Bold")
CARDO = Face("Cardo104s.ttf", "Cardo")
VENDORED = (DISPLAY, TEXT, TEXT_BOLD, SPARTAN_BLACK, SPARTAN, BEBAS, CARDO)


@dataclass(frozen=True)
class Wardrobe:
    """The faces of other writing systems that a film needs, in a bold and in a plain weight."""

    bold: tuple[Face, ...] = ()
    plain: tuple[Face, ...] = ()

    def dress(self, face: Face) -> Face:
        """The face with these behind it, in the weight that goes with it."""
        return replace(face, others=self.plain if same(face, CARDO) else self.bold)


NOTHING = Wardrobe()


def same(face: Face, other: Face) -> bool:
    """Whether two faces are one file, whatever stands behind them."""
    return face.file == other.file


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
    read = sfnt.read(FONTS / face.file)
    em = float(read.units_per_em)
    advances = {code: advance / em for code, advance in read.advances.items()}
    capitals = 0.7 if read.cap_height is None else read.cap_height / em
    return Metrics(read.win_ascent / em, read.win_descent / em, capitals, advances)


@lru_cache(maxsize=20_000)
def runs(text: str, face: Face) -> tuple[tuple[Face, str], ...]:
    """The text in pieces of one face each, in order; letters that no face has are left out.

    Marks, joiners and spaces stay in the face of what they follow, as far as it has them. The vendored faces write their own
    scripts only: Cardo's Hebrew, and its space beside it, are set by rules that its advances know nothing of.
    """
    vendored = (face, TEXT if same(face, CARDO) else TEXT_BOLD)
    right_to_left = has_right_to_left(text)
    pieces: list[tuple[Face, str]] = []
    for letter in text:
        before = tuple(one for one, _ in pieces[-1:])
        kind = unicodedata.category(letter)
        order = (*vendored, *face.others) if script_of(letter) in OURS else face.others
        if letter.isspace() and right_to_left:
            order = (*face.others, *vendored)
        elif letter.isspace() or kind in ("Cf", "Mn", "Mc", "Me"):
            order = (*before, *order)
        found = next((one for one in order if _has(one, letter, kind)), None)
        if found is None:
            continue
        if found in before:
            pieces[-1] = (found, pieces[-1][1] + letter)
        else:
            pieces.append((found, letter))
    return tuple(pieces)


def _has(face: Face, letter: str, kind: str) -> bool:
    # Libass gives joiners and marks of direction the width that stands in the font, and that is not always none.
    advance = metrics(face).advances.get(ord(letter))
    return advance is not None and (kind != "Cf" or advance == 0)


def width(text: str, face: Face, px: float, *, tracking: float = 0.0) -> float:
    """Upper bound of the width of one line, in pixels; `tracking` is extra space after each letter, in em."""
    total, letters = 0.0, 0
    for one, part in runs(text, face):
        letters += len(part)
        if one in face.others:
            total += _shaped(part, one) * one.scale
        else:
            advances = metrics(one).advances
            total += sum(advances[ord(letter)] for letter in part)
    return (total + tracking * max(letters - 1, 0)) * px


def ass_size(face: Face, px: float) -> float:
    r"""Libass' `\fs` for an em of `px` pixels: it scales the Windows box, not the em."""
    m = metrics(face)
    return px * face.scale * (m.ascent + m.descent)


def cap_shift(face: Face, px: float, text: str = "") -> float:
    r"""How far `\an5` must be moved down (pixels) so that capitals, not the line's box, are centred."""
    boxes = [(metrics(one), one.scale) for one, _ in runs(text, face)] or [(metrics(face), 1.0)]
    ascent = max(m.ascent * scale for m, scale in boxes)
    descent = max(m.descent * scale for m, scale in boxes)
    return px * (metrics(face).cap_height / 2 - (ascent - descent) / 2)


def leading(text: str, face: Face) -> float:
    """The least leading that the text's faces need, in em."""
    return max((one.leading for one, _ in runs(text, face)), default=0.0)


def rise(text: str, face: Face) -> float:
    """How far the text's ink stands above Latin capitals, in em."""
    return max((one.rise for one, _ in runs(text, face)), default=0.0)


def is_joined(text: str, face: Face) -> bool:
    """Whether letters of the text hang together, so that tracking would tear them apart."""
    return any(one.joined for one, _ in runs(text, face))


def monogram_of(text: str, face: Face) -> tuple[str, Face]:
    """The first letter or digit of a text with the marks on it, and the face that draws it; ("", face) for none."""
    for one, part in runs(text, face):
        if found := next((cluster for cluster in clusters(part) if any(map(str.isalnum, cluster))), ""):
            return found, one
    return "", face


@lru_cache(maxsize=20_000)
def _shaped(text: str, face: Face) -> float:
    """Width of a run in em as HarfBuzz sets it for libass, which asks for no kerning; with ink beyond its advance."""
    font, plain = _shaper(face), ["-kern"]
    left, _, right, _ = font.getbbox(text, anchor="ls", features=plain)
    return float(max(font.getlength(text, features=plain), right) - min(left, 0)) / MEASURED_PX


@cache
def _shaper(face: Face) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(str(FONTS / face.file), MEASURED_PX, layout_engine=ImageFont.Layout.RAQM)

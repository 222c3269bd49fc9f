"""Text and buttons as timeline items: lines into areas, words one by one where the face allows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.film import fonts
from pipeline.film.captions import is_right_to_left
from pipeline.film.fonts import Face
from pipeline.film.layout import Rect, fit
from pipeline.film.timeline import Label

WORD_STAGGER_SECONDS = 0.07


@dataclass(frozen=True)
class Look:
    """How a text is set: face, largest em in pixels, colour, spacing and how its words come in."""

    face: Face
    px: float
    color: str
    leading: float = 1.08
    tracking: float = 0.0
    lines: int = 3
    floor: float = 30.0
    left: bool = False
    shadow: float = 0.0
    stagger: bool = True
    layer: int = 10


@dataclass(frozen=True)
class Block:
    """A set text: its labels and the area its ink takes."""

    labels: tuple[Label, ...]
    area: Rect


def measure(text: str, area: Rect, look: Look) -> tuple[tuple[str, ...], float, float]:
    """(lines, em in pixels, height of the ink in pixels) of a text in an area."""
    fitted = fit(
        text,
        look.face,
        area,
        px=look.px,
        floor=look.floor,
        lines=look.lines,
        leading=look.leading,
        tracking=look.tracking,
    )
    cap = fonts.metrics(look.face).cap_height * fitted.px
    return fitted.lines, fitted.px, cap + (len(fitted.lines) - 1) * fitted.px * look.leading if fitted.lines else 0.0


def block(text: str, area: Rect, look: Look, start: float, end: float, *, top: float | None = None) -> Block:
    """The text in the area, centred vertically unless `top` (of its capitals) is given."""
    lines, px, height = measure(text, area, look)
    if not lines:
        return Block((), replace(area, height=0.0))
    y = area.cy - height / 2 if top is None else top
    cap = fonts.metrics(look.face).cap_height * px
    labels: list[Label] = []
    widest = 0.0
    for row, line in enumerate(lines):
        middle = y + cap / 2 + row * px * look.leading
        widest = max(widest, fonts.width(line, look.face, px, tracking=look.tracking))
        begin = start + WORD_STAGGER_SECONDS * len(labels) if look.stagger else start
        labels += _line(line, area, replace(look, px=px), middle, begin, end)
    left = area.x if look.left else area.cx - widest / 2
    return Block(tuple(labels), Rect(left, y, widest, height))


def _line(line: str, area: Rect, look: Look, y: float, start: float, end: float) -> list[Label]:
    total = fonts.width(line, look.face, look.px, tracking=look.tracking)
    base = Label(
        text=line,
        x=area.x if look.left else area.cx,
        y=round(y, 2),
        px=round(look.px, 3),
        face=look.face,
        color=look.color,
        start=start,
        end=end,
        left=look.left,
        tracking=look.tracking,
        shadow=look.shadow,
        layer=look.layer,
    )
    # Words come in one after the other only where the face knows every letter and the line runs left to right.
    if not look.stagger or not fonts.covers(line, look.face) or is_right_to_left(line):
        return [base]
    x = area.x if look.left else area.cx - total / 2
    space = fonts.width(" ", look.face, look.px) + 2 * look.tracking * look.px
    labels = []
    for at, word in enumerate(line.split(" ")):
        width = fonts.width(word, look.face, look.px, tracking=look.tracking)
        begin = min(start + at * WORD_STAGGER_SECONDS, end)
        labels.append(replace(base, text=word, x=round(x + width / 2, 2), left=False, start=begin))
        x += width + space
    return labels

"""Text and buttons as timeline items: lines into areas, words one by one where the face allows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.film import fonts
from pipeline.film.directions import has_right_to_left, is_right_to_left
from pipeline.film.fonts import Face
from pipeline.film.layout import Rect, fit
from pipeline.film.timeline import Label

WORD_STAGGER_SECONDS = 0.07


@dataclass(frozen=True)
class Look:
    """How a text is set: face, largest em in pixels, colour, spacing and how its words come in.

    `left`: flush left, or flush right where a line runs from right to left; `right`: flush right in any case (no stagger).
    """

    face: Face
    px: float
    color: str
    leading: float = 1.08
    tracking: float = 0.0
    lines: int = 3
    floor: float = 30.0
    left: bool = False
    right: bool = False
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
    look = _suited(text, look)
    rise = fonts.rise(text, look.face)
    fitted = fit(
        text,
        look.face,
        replace(area, height=area.height / (1 + rise / look.lines)),
        px=look.px,
        floor=look.floor,
        lines=look.lines,
        leading=look.leading,
        tracking=look.tracking,
    )
    cap = (fonts.metrics(look.face).cap_height + rise) * fitted.px
    return fitted.lines, fitted.px, cap + (len(fitted.lines) - 1) * fitted.px * look.leading if fitted.lines else 0.0


def block(text: str, area: Rect, look: Look, start: float, end: float, *, top: float | None = None) -> Block:
    """The text in the area, centred vertically unless `top` (of its capitals) is given."""
    look = _suited(text, look)
    lines, px, height = measure(text, area, look)
    if not lines:
        return Block((), replace(area, height=0.0))
    y = (area.cy - height / 2 if top is None else top) + fonts.rise(text, look.face) * px
    cap = fonts.metrics(look.face).cap_height * px
    labels: list[Label] = []
    widest = 0.0
    for row, line in enumerate(lines):
        middle = y + cap / 2 + row * px * look.leading
        widest = max(widest, fonts.width(line, look.face, px, tracking=look.tracking))
        begin = start + WORD_STAGGER_SECONDS * len(labels) if look.stagger else start
        labels += _line(line, area, replace(look, px=px), middle, begin, end)
    left = area.x if look.left else area.cx - widest / 2
    return Block(tuple(labels), Rect(left, y, widest, height - fonts.rise(text, look.face) * px))


def _suited(text: str, look: Look) -> Look:
    """The look with the leading that the text's writing system needs, and no tracking where letters hang together."""
    tracking = 0.0 if fonts.is_joined(text, look.face) else look.tracking
    return replace(look, tracking=tracking, leading=max(look.leading, fonts.leading(text, look.face)))


def _line(line: str, area: Rect, look: Look, y: float, start: float, end: float) -> list[Label]:
    total = fonts.width(line, look.face, look.px, tracking=look.tracking)
    flush_right = look.right or (look.left and is_right_to_left(line))
    base = Label(
        text=line,
        x=area.right - total / 2 if flush_right else area.x if look.left else area.cx,
        y=round(y, 2),
        px=round(look.px, 3),
        face=look.face,
        color=look.color,
        start=start,
        end=end,
        left=look.left and not flush_right,
        tracking=look.tracking,
        shadow=look.shadow,
        layer=look.layer,
    )
    # Words come in one after the other only where the whole line runs from left to right.
    if not look.stagger or has_right_to_left(line):
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

"""Captions make room: where they would stand on the busiest part of a photo, such as its label, they move a little."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.film.layout import Rect, Stage, contained_scale
from pipeline.film.timeline import Shot
from pipeline.film.views import Drawn, Extract

STEP, MOST_UP, MOST_DOWN = 13, 0.075, 0.036  # pixels; of the frame's height
WORTH = 0.7  # a place must be so much calmer to be worth a move
FAR = 0.25  # what the farthest move costs, as a share of the busiest row


def caption_shift(extract: Extract | None, drawn: Drawn, stage: Stage, box_height: float) -> float:
    """How far down (or up, below 0) the scene's captions should stand from their usual place, in pixels."""
    if extract is None or not extract.busy:
        return 0.0
    area, part = _shown(extract, drawn.shot, stage)
    if area is None:
        return 0.0
    most = max(extract.busy)
    if most <= 0:
        return 0.0

    def detail(shift: float) -> float:
        top = stage.caption_y + shift - box_height / 2
        rows = [_row(extract.busy, area, part, top + box_height * (at + 0.5) / 12) for at in range(12)]
        return sum(rows) / len(rows) / most

    # Above stands the scene's own text, with a gap of half a box.
    text = max((label.y + label.px * 0.45 for label in drawn.labels), default=0.0)
    highest = min(stage.height * MOST_UP, stage.caption_y - box_height - text)
    up = range(STEP, max(STEP, int(highest)), STEP)
    lowest = min(stage.height * MOST_DOWN, stage.safe.bottom - stage.caption_y - box_height / 2)
    down = range(STEP, int(lowest), STEP)
    reach = stage.height * MOST_UP
    here = detail(0.0)
    best = min(
        (0.0, *(float(-one) for one in up), *(float(one) for one in down)),
        key=lambda shift: (round(detail(shift) + FAR * abs(shift) / reach, 6), abs(shift)),
    )
    return best if detail(best) < here * WORTH else 0.0


def _row(busy: Sequence[float], area: Rect, part: tuple[float, float], y: float) -> float:
    """The detail of the photo at a height of the frame; nothing beside it."""
    if not area.y <= y < area.bottom:
        return 0.0
    share = part[0] + (y - area.y) / area.height * (part[1] - part[0])
    return busy[min(int(share * len(busy)), len(busy) - 1)]


def _shown(extract: Extract, shot: Shot, stage: Stage) -> tuple[Rect | None, tuple[float, float]]:
    """Where the photo lies in the frame, and which part of its height is seen there."""
    if shot.sprite is None:
        if shot.plate.picture.treatment != "extend":
            return None, (0.0, 1.0)
        high = min(float(stage.height), stage.width * extract.height / extract.width)
        seen = high / (stage.width * extract.height / extract.width)
        return Rect(0, stage.height - high, stage.width, high), (1 - seen, 1.0)
    picture, (x, y) = shot.sprite.picture, shot.sprite.center
    if picture.monogram:
        return None, (0.0, 1.0)
    if picture.contain:
        own = extract.width, extract.height
        scale = contained_scale(picture.width, picture.height, own, cutout=extract.source == "cutout")
        wide, high = extract.width * scale, extract.height * scale
        return Rect(x - wide / 2, y - high / 2, wide, high), (0.0, 1.0)
    scale = max(picture.width / extract.width, picture.height / extract.height) * picture.closeness
    seen = min(1.0, picture.height / scale / extract.height)
    return Rect(x - picture.width / 2, y - picture.height / 2, picture.width, picture.height), (
        (1 - seen) / 2,
        (1 + seen) / 2,
    )

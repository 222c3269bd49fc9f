"""Frame number -> picture without text: a pure function into a reused I420 buffer. Runs in the child only.

A card and the plate behind it zoom about the same point at the same rate, so once a card has risen both are one
picture, laid together beforehand: from then on a frame costs one resize of each plane.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.film import marks, pictures
from pipeline.film.art import strips
from pipeline.film.boxes import Boxes
from pipeline.film.clips import ClipTrack
from pipeline.film.layout import even
from pipeline.film.marks import MarkPlanes
from pipeline.film.pictures import CardPlanes
from pipeline.film.planes import Bytes, Planes
from pipeline.film.themes import theme_of
from pipeline.film.timeline import Cut, Mark, Picture, Shot, Sprite, Timeline
from pipeline.film.warp import Backend, Spot, best_backend

RISE_SECONDS, MARK_SECONDS = 0.9, 0.4
SHOTS_KEPT = 2
CLIPS_KEPT = 2
MEETING_ROWS = 48

Area = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the full-size plane, all even


class Frame:
    """One I420 picture: a flat buffer and its three planes as views of it."""

    def __init__(self, width: int, height: int) -> None:
        self.buffer: Bytes = np.zeros(width * height * 3 // 2, np.uint8)
        luma, chroma = width * height, width * height // 4
        self.y = self.buffer[:luma].reshape(height, width)
        self.u = self.buffer[luma : luma + chroma].reshape(height // 2, width // 2)
        self.v = self.buffer[luma + chroma :].reshape(height // 2, width // 2)


@dataclass(frozen=True)
class _Set:
    """The rasters of one shot: its plate, its card, and both laid together with the card at rest."""

    plate: Planes
    card: CardPlanes | None
    whole: Planes


class Compositor:
    """Draws the frames of a timeline, in any order, always the same bytes for the same number."""

    def __init__(self, timeline: Timeline, backend: Backend | None = None) -> None:
        self._timeline = timeline
        self._theme = theme_of(timeline.style, timeline.brand_color)
        self._backend = backend or best_backend()
        self._boxes = Boxes(timeline, self._backend)
        self._sets: OrderedDict[int, _Set] = OrderedDict()
        self._clips: OrderedDict[int, ClipTrack] = OrderedDict()
        self._marks: dict[Picture, MarkPlanes] = {}
        self._frame, self._next = (Frame(timeline.width, timeline.height) for _ in range(2))
        self._mixed: Frame | None = None

    def render(self, number: int) -> Bytes:
        """The I420 bytes of one frame (width * height * 3 / 2); the buffer is reused by the next call."""
        at, cut, share = self._where(number)
        self._shot(at, number, self._frame)
        whole = self._frame
        if cut is not None:
            self._shot(at + 1, number, self._next)
            whole = self._blend(cut, share)
        self._boxes.draw(number, whole.y, whole.u, whole.v)
        return whole.buffer

    def at_rest(self, at: int) -> Planes:
        """The raster of a shot with its card, larger than the frame by the room for its zoom."""
        return self._set(at).whole

    def _where(self, number: int) -> tuple[int, Cut | None, float]:
        """The shot at a frame; inside a cut the earlier shot, the cut, and how far it has come (0..1)."""
        for at, cut in enumerate(self._timeline.cuts):
            begin = cut.at - cut.frames // 2
            if cut.frames and begin <= number < begin + cut.frames:
                return at, cut, (number - begin + 1) / (cut.frames + 1)
        for at, shot in enumerate(self._timeline.shots):
            if number < shot.last:
                return at, None, 0.0
        return len(self._timeline.shots) - 1, None, 0.0

    def _set(self, at: int) -> _Set:
        if at not in self._sets:
            while len(self._sets) >= SHOTS_KEPT:
                self._sets.popitem(last=False)
            shot = self._timeline.shots[at]
            plate = pictures.plate(shot.plate.picture, self._theme)
            card = pictures.card(shot.sprite.picture, self._theme) if shot.sprite else None
            at_rest = plate if card is None else self._laid(plate, card, _anchor(shot, self._timeline, plate)[0])
            self._sets[at] = _Set(plate, card, at_rest)
            pictures.give_back_memory()
        self._sets.move_to_end(at)
        return self._sets[at]

    def _shot(self, at: int, number: int, frame: Frame) -> None:
        shot = self._timeline.shots[at]
        first, last = self._visible(at, shot)
        if shot.plate.picture.treatment == "clip":
            self._clip(at, shot, last - first).draw(number - first, frame.y, frame.u, frame.v)
        else:
            self._still(at, shot, number, frame)
        for mark in shot.marks:
            self._mark(mark, min(1.0, (number - first + 1) / (MARK_SECONDS * self._timeline.fps)), frame)

    def _still(self, at: int, shot: Shot, number: int, frame: Frame) -> None:
        first, last = self._visible(at, shot)
        rasters = self._set(at)
        share = min(max((number - first) / max(1, last - first), 0.0), 1.0)
        zoom = shot.plate.zoom[0] + (shot.plate.zoom[1] - shot.plate.zoom[0]) * share
        k = _raster_scale(self._timeline, rasters.plate) / zoom
        fixed, spot = _anchor(shot, self._timeline, rasters.plate)
        whole = (0, 0, self._timeline.width, self._timeline.height)
        enter = min(1.0, (number - first) / (RISE_SECONDS * self._timeline.fps))
        if shot.sprite is None or rasters.card is None or enter >= 1:
            self._zoom(rasters.whole, frame, k, fixed, spot)
            return
        place = _CardPlace.of(shot.sprite, rasters.card, k, spot, enter, whole)
        self._zoom(rasters.plate, frame, k, fixed, spot)
        self._card(rasters.card, place, frame)

    def _mark(self, mark: Mark, seen: float, frame: Frame) -> None:
        """A logo over the frame, `seen` (0..1) of it while it comes in."""
        if mark.picture not in self._marks:
            self._marks[mark.picture] = marks.mark(mark.picture)
        drawn = self._marks[mark.picture]
        if seen < 1:
            drawn = drawn.faded(seen)
        x, y = mark.at
        height, width = drawn.alpha.shape
        self._backend.over(frame.y[y : y + height, x : x + width], drawn.planes.y, drawn.alpha)
        half = (slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2))
        self._backend.over(frame.u[half], drawn.planes.u, drawn.alpha_half)
        self._backend.over(frame.v[half], drawn.planes.v, drawn.alpha_half)

    def _clip(self, at: int, shot: Shot, frames: int) -> ClipTrack:
        if at not in self._clips:
            picture = shot.plate.picture
            size = picture.width, picture.height
            self._clips[at] = ClipTrack(picture.path, size, self._timeline.fps, frames, self._backend, dim=picture.dim)
            while len(self._clips) > CLIPS_KEPT:
                self._clips.popitem(last=False)[1].close()
        self._clips.move_to_end(at)
        return self._clips[at]

    def _laid(self, plate: Planes, card: CardPlanes, at: Spot) -> Planes:
        """The plate with the card's middle on a point of it, both being rasters of the same scale."""
        out = Planes(plate.y.copy(), plate.u.copy(), plate.v.copy())
        for target, source, alpha, shrink in (
            (out.y, card.planes.y, card.alpha, 1),
            (out.u, card.planes.u, card.alpha_half, 2),
            (out.v, card.planes.v, card.alpha_half, 2),
        ):
            height, width = source.shape
            x, y = at[0] // shrink - width // 2, at[1] // shrink - height // 2
            left, top = max(0, -x), max(0, -y)
            right, bottom = min(width, target.shape[1] - x), min(height, target.shape[0] - y)
            here, there = (
                (slice(top, bottom), slice(left, right)),
                (slice(y + top, y + bottom), slice(x + left, x + right)),
            )
            self._backend.over(target[there], source[here], alpha[here])
        return out

    def _visible(self, at: int, shot: Shot) -> tuple[int, int]:
        cuts = self._timeline.cuts
        before = cuts[at - 1].frames // 2 if at else 0
        after = cuts[at].frames // 2 if at < len(cuts) else 0
        return shot.first - before, shot.last + after

    def _zoom(self, planes: Planes, frame: Frame, k: float, at: Spot, spot: Spot) -> None:
        self._backend.zoom(planes.y, frame.y, k, at, spot)
        for source, target in ((planes.u, frame.u), (planes.v, frame.v)):
            self._backend.zoom(source, target, k, _halved(at), _halved(spot))

    def _card(self, card: CardPlanes, place: _CardPlace, frame: Frame) -> None:
        """A card on its way up: its opaque inside is copied, only its soft rim is blended."""
        planes = card.planes
        self._lay((planes.y,), card.alpha, (frame.y,), place)
        self._lay((planes.u, planes.v), card.alpha_half, (frame.u, frame.v), place.halved())

    def _lay(self, sources: tuple[Bytes, ...], alpha: Bytes, targets: tuple[Bytes, ...], place: _CardPlace) -> None:
        # Resized as a whole: a resize begins at the point that both have in common, also for a strip far from it.
        x0, y0, x1, y1 = place.outer
        here = (place.spot[0] - x0, place.spot[1] - y0)
        part, weight = np.empty((y1 - y0, x1 - x0), np.uint8), np.empty((y1 - y0, x1 - x0), np.uint8)
        self._backend.zoom(alpha, weight, place.k, place.at, here)
        for source, target in zip(sources, targets, strict=True):
            self._backend.zoom(source, part, place.k, place.at, here)
            a0, b0, a1, b1 = place.inner
            target[b0:b1, a0:a1] = part[b0 - y0 : b1 - y0, a0 - x0 : a1 - x0]
            for c0, d0, c1, d1 in _around(place.outer, place.inner):
                rim = (slice(d0 - y0, d1 - y0), slice(c0 - x0, c1 - x0))
                self._backend.over(target[d0:d1, c0:c1], part[rim], weight[rim])

    def _blend(self, cut: Cut, share: float) -> Frame:
        one, other = self._frame, self._next
        if self._mixed is None:
            self._mixed = Frame(self._timeline.width, self._timeline.height)
        if cut.kind == "fade":
            eased = share * share * (3 - 2 * share)
            self._backend.mix(one.buffer, other.buffer, eased, self._mixed.buffer)
        elif cut.kind == "push":
            self._push(one, other, 8 * share**4 if share < 0.5 else 1 - 8 * (1 - share) ** 4)
        else:
            self._circle(one, other, share)
        return self._mixed

    def _push(self, one: Frame, other: Frame, eased: float) -> None:
        assert self._mixed is not None
        split = self._timeline.width - even(self._timeline.width * eased)
        for into, left, right, at in (
            (self._mixed.y, one.y, other.y, split),
            (self._mixed.u, one.u, other.u, split // 2),
            (self._mixed.v, one.v, other.v, split // 2),
        ):
            width = into.shape[1]
            into[:, :at] = left[:, width - at :]
            into[:, at:] = right[:, : width - at]

    def _circle(self, one: Frame, other: Frame, share: float) -> None:
        assert self._mixed is not None
        width, height = self._timeline.width, self._timeline.height
        radius = share * share * (3 - 2 * share) * (math.hypot(width, height) / 2 + 4)
        mask = _disc(width, height, radius)
        small = np.ascontiguousarray(mask[::2, ::2])
        self._backend.masked(one.y, other.y, mask, self._mixed.y)
        self._backend.masked(one.u, other.u, small, self._mixed.u)
        self._backend.masked(one.v, other.v, small, self._mixed.v)


@dataclass(frozen=True)
class _CardPlace:
    """Where a card lies on one frame: raster pixels per frame pixel, a point on both, its areas."""

    k: float
    at: Spot
    spot: Spot
    inner: Area
    outer: Area

    @classmethod
    def of(cls, sprite: Sprite, card: CardPlanes, k: float, spot: Spot, enter: float, whole: Area) -> _CardPlace:
        height, width = card.alpha.shape
        at, spot = _meeting(height // 2, spot[1] + sprite.rise * (1 - enter) ** 4, k, (width // 2, spot[0]))
        x, y = at[0] - spot[0] * k, at[1] - spot[1] * k
        x0, y0, x1, y1 = card.inner
        inner = _clip((_up((x0 - x) / k), _up((y0 - y) / k), _down((x1 - x) / k), _down((y1 - y) / k)), whole)
        # Rounded inwards: at its very edge the raster is clear, and nothing may be read beyond it.
        outer = _clip((_up(-x / k), _up(-y / k), _down((width - x) / k), _down((height - y) / k)), whole)
        return cls(k, at, spot, inner, outer)

    def halved(self) -> _CardPlace:
        """On the planes of half the size."""
        return _CardPlace(self.k, *map(_halved, (self.at, self.spot, self.inner, self.outer)))


def _meeting(middle: int, center: float, k: float, across: tuple[int, int]) -> tuple[Spot, Spot]:
    """Two whole even points that lie on each other, on a card's raster and on the frame, when `middle` lies at `center`.

    A card on its way up stands between pixels; but of the rows near its middle one meets a row of the frame, to within a
    tenth of a pixel. From there a plain resize draws it.
    """
    rows = range(middle - MEETING_ROWS, middle + MEETING_ROWS + 1, 2)
    exact = ((row, center + (row - middle) / k) for row in rows)
    row, line = min(((row, line) for row, line in exact), key=lambda pair: abs(pair[1] - even(pair[1])))
    return (across[0], row), (across[1], even(line))


def _disc(width: int, height: int, radius: float) -> Bytes:
    """255 inside a circle about the middle, 0 outside, and a step between at its edge."""
    across = (np.arange(width, dtype=np.float32) - width / 2) ** 2
    down = ((np.arange(height, dtype=np.float32) - height / 2) ** 2)[:, None]
    mask = np.empty((height, width), np.uint8)
    for span in strips(height):
        mask[span] = np.clip((radius - np.sqrt(across + down[span])) * 127 + 127, 0, 255)
    return mask


def _raster_scale(timeline: Timeline, plate: Planes) -> float:
    return float(min(plate.y.shape[1] / timeline.width, plate.y.shape[0] / timeline.height))


def _anchor(shot: Shot, timeline: Timeline, plate: Planes) -> tuple[Spot, Spot]:
    """The point that stays while a shot zooms: on its raster and on the frame, whole even pixels on both."""
    if shot.sprite is not None:
        spot = (even(shot.sprite.center[0]), even(shot.sprite.center[1]))
    else:
        spot = (even(timeline.width * shot.plate.focus[0]), even(timeline.height * shot.plate.focus[1]))
    scale = _raster_scale(timeline, plate)
    return (even(spot[0] * scale), even(spot[1] * scale)), spot


def _halved(numbers: tuple[int, ...]) -> Any:
    """An area or a spot on the planes of half the size."""
    return tuple(number // 2 for number in numbers)


def _up(value: float) -> int:
    return math.ceil(value / 2) * 2


def _down(value: float) -> int:
    return math.floor(value / 2) * 2


def _clip(area: Area, whole: Area) -> Area:
    x0, y0 = max(area[0], whole[0]), max(area[1], whole[1])
    return x0, y0, max(x0, min(area[2], whole[2])), max(y0, min(area[3], whole[3]))


def _around(outer: Area, inner: Area) -> list[Area]:
    """The part of `outer` that is not `inner`, as up to four areas."""
    x0, y0, x1, y1 = outer
    a0, b0, a1, b1 = inner
    areas = [(x0, y0, x1, b0), (x0, b1, x1, y1), (x0, b0, a0, b1), (a1, b0, x1, b1)]
    return [area for area in areas if area[2] > area[0] and area[3] > area[1]]

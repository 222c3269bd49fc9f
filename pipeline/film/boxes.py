"""The rounded boxes behind text: buttons, panels, bars, the ground of captions with its shadow and the chip of the spoken word.

Text is libass' work, but ffmpeg lays what libass draws over a frame pixel by pixel, at ten times the price of the same by
OpenCV, and boxes are most of those pixels. So they are drawn on the frames before text is. Runs in the child only.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.film.art import rgb
from pipeline.film.ass import DRAWN_BEFORE
from pipeline.film.captions import ground_of
from pipeline.film.motion import frame_of, motion
from pipeline.film.planes import BLUE, GREEN, RED, U_SCALE, V_SCALE, Bytes, quarter
from pipeline.film.theme import CaptionLook
from pipeline.film.themes import theme_of
from pipeline.film.timeline import CaptionPage, CaptionWord, Shape, Timeline
from pipeline.film.warp import Backend

BLUR_SIGMA = 0.85  # of libass' blur, which the looks are given in
STAMPS_KEPT, MASKS_KEPT = 24, 12  # most are of one frame only
VEILED = 0.9  # the share of a veil: at 0.8 the lines of a frame were seen through it, under the letters
CHIP_SCALES = (0.9, 0.97, 1.0)  # on its first frames; the last stays


@dataclass(frozen=True)
class Box:
    """A rounded box by its centre, in pixels; `seen` is its opacity, `blur` as in ASS."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    color: str
    seen: float = 1.0
    blur: float = 0.0

    def scaled(self, share: float) -> Box:
        """The same around its own centre."""
        return replace(self, width=self.width * share, height=self.height * share, radius=self.radius * share)


@dataclass(frozen=True)
class Act:
    """A box on the frames [first, last), as it stands on each of them; higher layers lie on lower ones."""

    first: int
    last: int
    layer: int
    at: Callable[[int], Box]


def acts(timeline: Timeline) -> list[Act]:
    """All boxes of a film, those that lie on others later."""
    look = theme_of(timeline.style, timeline.brand_color).caption
    found = [act for shape in timeline.shapes if shape.kind in DRAWN_BEFORE for act in _shape(shape, timeline.fps)]
    for page in timeline.pages:
        found += _page(page, look, timeline.fps)
    return sorted(found, key=lambda act: act.layer)


def is_chip(look: CaptionLook) -> bool:
    """Whether the spoken word's chip is drawn here: where words have an outline, their neighbours' halo lies below it."""
    return bool(look.chip) and not look.outline


def _shape(shape: Shape, fps: int) -> Iterator[Act]:
    first, last = frame_of(shape.start, fps), frame_of(shape.end, fps)
    if last <= first:
        return
    moved = motion(shape.enter, first, last, fps)
    still = Box(shape.x, shape.y, shape.width, shape.height, shape.radius, shape.color, blur=shape.blur)

    def at(frame: int) -> Box:
        down, scale, seen = moved(frame)
        return replace(still.scaled(scale), y=shape.y + down, seen=seen * (1 - shape.alpha))

    yield Act(first, last, shape.layer, at)


def _page(page: CaptionPage, look: CaptionLook, fps: int) -> Iterator[Act]:
    first, last = frame_of(page.start, fps), frame_of(page.end, fps)
    if last <= first:
        return
    if look.mode in ("box", "veil"):
        width, height = ground_of(look, page.width, page.px)
        radius = page.px * 0.26 if look.mode == "box" else 0.0
        ground = Box(page.x, page.y, width, height, radius, look.box, 0.97 if look.mode == "box" else VEILED)
        yield Act(first, last, 21, lambda _frame: ground)
        if look.mode == "box":
            # Only the shadow's lower rim shows.
            shade = Box(page.x, page.y + height / 2 - 10, width - 10, 34, min(radius, 17), "#000000", 0.2, 9)
            yield Act(first, last, 20, lambda _frame: shade)
    if is_chip(look):
        for word in page.words:
            yield from _chip(page, word, look, (first, last), fps)


def _chip(page: CaptionPage, word: CaptionWord, look: CaptionLook, window: tuple[int, int], fps: int) -> Iterator[Act]:
    begin = min(max(frame_of(word.start, fps), window[0]), window[1])
    until = min(max(frame_of(word.end, fps), begin), window[1])
    if until > begin:
        box = Box(word.x, page.y, word.width + page.px * 0.3, page.px * 1.18, page.px * 0.18, look.chip)
        yield Act(begin, until, 22, lambda frame: box.scaled(CHIP_SCALES[min(frame - begin, 2)]))


@dataclass(frozen=True)
class Stamp:
    """A box as premultiplied planes with alpha at both sizes; (x, y) is its corner, all sides even."""

    x: int
    y: int
    planes: tuple[Bytes, Bytes, Bytes]
    alpha: Bytes
    alpha_half: Bytes


class Boxes:
    """Draws the boxes of a film on its frames."""

    def __init__(self, timeline: Timeline, backend: Backend) -> None:
        self._acts = acts(timeline)
        self._size = timeline.width, timeline.height
        self._share = timeline.width / (timeline.canvas or (timeline.width, timeline.height))[0]
        self._backend = backend
        self._stamps: OrderedDict[Box, Stamp | None] = OrderedDict()

    def on(self, number: int) -> list[Box]:
        """The boxes on a frame, in its own pixels, the lowest first."""
        shown = [act.at(number) for act in self._acts if act.first <= number < act.last]
        if self._share == 1.0:
            return shown
        return [
            replace(box.scaled(self._share), x=box.x * self._share, y=box.y * self._share, blur=box.blur * self._share)
            for box in shown
        ]

    def draw(self, number: int, y: Bytes, u: Bytes, v: Bytes) -> None:
        """Lay a frame's boxes over its planes."""
        for box in self.on(number):
            stamp = self._stamp(box)
            if stamp is None:
                continue
            height, width = stamp.alpha.shape
            rows, columns = slice(stamp.y, stamp.y + height), slice(stamp.x, stamp.x + width)
            self._backend.over(y[rows, columns], stamp.planes[0], stamp.alpha)
            half = (slice(rows.start // 2, rows.stop // 2), slice(columns.start // 2, columns.stop // 2))
            self._backend.over(u[half], stamp.planes[1], stamp.alpha_half)
            self._backend.over(v[half], stamp.planes[2], stamp.alpha_half)

    def _stamp(self, box: Box) -> Stamp | None:
        if box not in self._stamps:
            self._stamps[box] = stamped(box, self._size)
            while len(self._stamps) > STAMPS_KEPT:
                self._stamps.popitem(last=False)
        self._stamps.move_to_end(box)
        return self._stamps[box]


def stamped(box: Box, size: tuple[int, int]) -> Stamp | None:
    """A box drawn, cut at the frame's edges; None for one that nobody sees."""
    x, y, cover = _cover(replace(box, color="", seen=1.0))
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(cover.shape[1], size[0] - x), min(cover.shape[0], size[1] - y)
    opacity = round(255 * min(max(box.seen, 0.0), 1.0))
    if right <= left or bottom <= top or not opacity:
        return None
    part = cover[top:bottom, left:right]
    share = (part * np.float32(opacity / 255)).astype(np.float32)
    half = quarter(share)
    color = _ycc(box.color)
    planes = tuple(
        (one * np.float32(level) + np.float32(0.5)).astype(np.uint8)
        for one, level in zip((share, half, half), color, strict=True)
    )
    alphas = [(one * np.float32(255) + np.float32(0.5)).astype(np.uint8) for one in (share, half)]
    return Stamp(x + left, y + top, (planes[0], planes[1], planes[2]), alphas[0], alphas[1])


@lru_cache(maxsize=MASKS_KEPT)
def _cover(box: Box) -> tuple[int, int, NDArray[np.float32]]:
    """(x, y) of the upper left corner and the share (0..1) of each pixel that the box covers; all even."""
    sigma = box.blur * BLUR_SIGMA
    room = math.ceil(3 * sigma) + 2
    x, y = (
        math.floor((middle - side / 2 - room) / 2) * 2 for middle, side in ((box.x, box.width), (box.y, box.height))
    )
    wide, high = (
        math.ceil((middle + side / 2 + room - corner) / 2) * 2
        for middle, side, corner in ((box.x, box.width, x), (box.y, box.height, y))
    )
    radius = min(box.radius, box.width / 2, box.height / 2)
    # How far each pixel's middle lies beyond the straight part of the sides; inside the corners the two make a circle.
    across = np.abs(np.arange(wide, dtype=np.float32) + np.float32(x + 0.5 - box.x)) - np.float32(
        box.width / 2 - radius
    )
    down = np.abs(np.arange(high, dtype=np.float32) + np.float32(y + 0.5 - box.y)) - np.float32(box.height / 2 - radius)
    beyond = np.hypot(np.maximum(across, 0)[None, :], np.maximum(down, 0)[:, None])
    inside = np.minimum(np.maximum(across[None, :], down[:, None]), 0)
    cover = np.clip(np.float32(radius + 0.5) - beyond - inside, 0, 1)
    if sigma:
        soft = Image.fromarray((cover * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(sigma))
        cover = np.asarray(soft, np.float32) / 255
    return x, y, np.asarray(cover, np.float32)


def _ycc(color: str) -> tuple[float, float, float]:
    """#RRGGBB in limited-range BT.709."""
    red, green, blue = rgb(color)
    luma = float(RED * red + GREEN * green + BLUE * blue)
    return 16 + luma * 219 / 255, 128 + (blue - luma) * float(U_SCALE), 128 + (red - luma) * float(V_SCALE)

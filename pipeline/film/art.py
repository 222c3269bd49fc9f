"""Generated pictures: a gradient mesh with ornaments of the style, the same for the same seed.

Arrays are float32 RGB, height x width x 3, 0 to 255. Runs in the child only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.film.colors import mix, on
from pipeline.film.fonts import FONTS, Face
from pipeline.film.theme import OrnamentKind, Theme

Pixels = NDArray[np.float32]
Points = list[tuple[float, float]]

BLOBS, MESH_SHRINK, GAMMA = 7, 10, 2.2
NOISE = 1.5  # dither: without it a soft gradient shows bands after the encoder
SUPERSAMPLING = 2
STRIP_ROWS = 128
RING = 0.375  # of a monogram's square, its outermost circle


def rgb(color: str) -> tuple[int, int, int]:
    """#RRGGBB as three numbers."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def enlarge(pixels: Pixels, width: int, height: int) -> Pixels:
    """A small soft picture at full size, smoothly."""
    out = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        out[..., channel] = enlarge_plane(pixels[..., channel], width, height)
    return out


def enlarge_plane(plane: Pixels, width: int, height: int) -> Pixels:
    """One channel at full size, smoothly."""
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def mesh(width: int, height: int, colors: tuple[str, ...], seed: int) -> Pixels:
    """Soft blobs of the colours over the first one, blended in linear light."""
    return enlarge(small_mesh(width, height, colors, seed), width, height)


def small_mesh(width: int, height: int, colors: tuple[str, ...], seed: int) -> Pixels:
    """The mesh at a tenth of its size; it is so soft that nothing is lost."""
    rng = np.random.default_rng(seed)
    w, h = max(2, width // MESH_SHRINK), max(2, height // MESH_SHRINK)
    long_side = max(w, h)
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    linear = [(np.array(rgb(color), np.float32) / 255) ** GAMMA for color in colors]
    picture = np.broadcast_to(linear[0], (h, w, 3)).copy()
    for at in range(BLOBS):
        color = linear[1 + at % (len(linear) - 1)]
        cx, cy = rng.uniform(-0.1, 1.1) * w, (at + rng.uniform(0, 1)) / BLOBS * h * 1.1 - 0.05 * h
        sigma = rng.uniform(0.16, 0.34) * long_side
        weight = np.exp(-((xs - cx) ** 2 + (ys - cy) ** 2) / (2 * sigma**2))[..., None] * rng.uniform(0.55, 0.95)
        picture += (color - picture) * weight
    return (np.clip(picture, 0, 1) ** (1 / GAMMA) * 255).astype(np.float32)


def strips(height: int) -> Iterator[slice]:
    """A picture's rows in spans of an even number: what is done span by span needs little memory beside it."""
    return (slice(top, min(top + STRIP_ROWS, height)) for top in range(0, height, STRIP_ROWS))


class Grain:
    """Normal noise of deviation 1: a quarter of it drawn, the rest that quarter mirrored and with other signs."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        half = (-(-height // 2), -(-width // 2))
        self._drawn = np.random.default_rng(seed).standard_normal(half, dtype=np.float32)
        self._width = width

    def rows(self, span: slice) -> Pixels:
        """The noise of these rows."""
        half = len(self._drawn)
        upper = self._drawn[span.start : min(span.stop, half)]
        lower = -self._drawn[::-1][max(span.start - half, 0) : max(span.stop - half, 0)]
        left = np.concatenate((upper, lower))
        return np.concatenate((left, -left[:, ::-1]), axis=1)[:, : self._width]


def dither(pixels: Pixels, seed: int, sigma: float = NOISE) -> Pixels:
    """The picture with a little grey noise, in place."""
    height, width = pixels.shape[:2]
    grain = Grain(width, height, seed)
    for span in strips(height):
        pixels[span] += (grain.rows(span) * np.float32(sigma))[..., None]
    return pixels


def compose(
    width: int, height: int, colors: tuple[str, ...], ornament: OrnamentKind | None, seed: int, accent: str = ""
) -> Pixels:
    """A finished piece of art: mesh and ornaments."""
    picture = mesh(width, height, colors, seed)
    if ornament and seed % 2:
        # Every other piece is mirrored, so that two in a row are not twins.
        picture = np.ascontiguousarray(picture[:, ::-1])
        ORNAMENTS[ornament](_Canvas(picture, accent or colors[2]), np.random.default_rng(seed + 7))
        return np.ascontiguousarray(picture[:, ::-1])
    if ornament:
        ORNAMENTS[ornament](_Canvas(picture, accent or colors[2]), np.random.default_rng(seed + 7))
    return picture


def scene_art(width: int, height: int, theme: Theme, seed: int) -> Pixels:
    """The art that stands in for a missing picture of a scene in a theme."""
    return compose(width, height, theme.art, theme.ornament, seed, theme.highlight)


def monogram_side(width: float, height: float, middle: float) -> float:
    """Of the square that a monogram fills on a card."""
    return min(width, 2 * height * middle)


def monogram(picture: Pixels, letter: str, face: Face, color: str, disc: str, middle: float) -> None:
    """A large letter on a disc, in place: what a card shows when there is no photo. `middle`: a share of the height."""
    height, width = picture.shape[:2]
    canvas = _Canvas(picture, color)
    side = monogram_side(width, height, middle)
    cx, cy = width / 2, height * middle
    canvas.paint(lambda d: d.disc(cx, cy + side * 0.02, side * 0.335), "#000000", 0.10)
    canvas.paint(lambda d: d.disc(cx, cy, side * 0.32), disc, 1.0)
    canvas.paint(lambda d: d.ring(cx, cy, side * RING, side * 0.006), mix(disc, "#FFFFFF", 0.3), 0.55)
    font = ImageFont.truetype(str(FONTS / face.file), round(side * 0.36 * SUPERSAMPLING))
    box = font.getbbox(letter, anchor="ls")
    ink = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    spot = (cx * SUPERSAMPLING - ink[0], cy * SUPERSAMPLING - ink[1])
    canvas.paint(lambda d: d.draw.text(spot, letter, font=font, fill=255, anchor="ls"), on(disc, ink=color), 1.0)


class _Pen:
    """Draws on a supersampled mask, in pixels of the picture."""

    def __init__(self, mask: Image.Image) -> None:
        self.draw = ImageDraw.Draw(mask)

    def rings(self, x: float, y: float, radii: list[float], thick: float) -> None:
        for radius in radii:
            self.ring(x, y, radius, thick)

    def discs(self, spots: list[tuple[float, float]], radius: float) -> None:
        for x, y in spots:
            self.disc(x, y, radius)

    def polygons(self, shapes: list[Points]) -> None:
        for points in shapes:
            self.polygon(points)

    def disc(self, x: float, y: float, radius: float) -> None:
        s = SUPERSAMPLING
        self.draw.ellipse(((x - radius) * s, (y - radius) * s, (x + radius) * s, (y + radius) * s), fill=255)

    def ring(self, x: float, y: float, radius: float, thick: float) -> None:
        s = SUPERSAMPLING
        box = ((x - radius) * s, (y - radius) * s, (x + radius) * s, (y + radius) * s)
        self.draw.ellipse(box, outline=255, width=max(1, round(thick * s)))

    def polygon(self, points: Points) -> None:
        self.draw.polygon([(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points], fill=255)

    def box(self, x: float, y: float, width: float, height: float, thick: float) -> None:
        s = SUPERSAMPLING
        corner = (x * s, y * s, (x + width) * s, (y + height) * s)
        self.draw.rectangle(corner, outline=255, width=max(1, round(thick * s)))


class _Canvas:
    """A picture that masks are painted on."""

    def __init__(self, pixels: Pixels, accent: str) -> None:
        self.pixels = pixels
        self.accent = accent
        self.height, self.width = pixels.shape[:2]

    def paint(self, draw: Callable[[_Pen], object], color: str, share: float) -> None:
        mask = Image.new("L", (self.width * SUPERSAMPLING, self.height * SUPERSAMPLING))
        draw(_Pen(mask))
        box = mask.getbbox()
        if box is None:
            return
        s = SUPERSAMPLING
        x0, y0, x1, y1 = box[0] // s, box[1] // s, -(-box[2] // s), -(-box[3] // s)
        small = mask.crop((x0 * s, y0 * s, x1 * s, y1 * s)).reduce(s)
        weight = np.asarray(small, np.float32)[..., None] * np.float32(share / 255)
        part = self.pixels[y0:y1, x0:x1]
        part += (np.array(rgb(color), np.float32) - part) * weight


def _rings(canvas: _Canvas, rng: np.random.Generator) -> None:
    w, h, side = canvas.width, canvas.height, min(canvas.width, canvas.height)
    x, y = w * rng.uniform(0.78, 0.98), h * rng.uniform(0.04, 0.16)
    canvas.paint(lambda p: p.disc(x, y, side * 0.42), "#FFFFFF", 0.07)
    canvas.paint(lambda p: p.disc(w - x, h - y * 0.8, side * 0.5), "#000000", 0.10)
    canvas.paint(lambda p: p.rings(x, y, [side * r for r in (0.5, 0.58, 0.66, 0.74)], 2.5), "#FFFFFF", 0.22)
    canvas.paint(lambda p: p.rings(w - x, h - y * 0.8, [side * r for r in (0.58, 0.68, 0.78)], 2.5), "#FFFFFF", 0.16)
    # The dot rides on a ring, away from titles and captions: below them, or on wider pictures at their right.
    angle = rng.uniform(-0.4, -0.3)
    spot = (w - x + math.cos(angle) * side * 0.68, h - y * 0.8 + math.sin(angle) * side * 0.68)
    if h < 1.5 * w:
        spot = (w * 0.925, y + math.sqrt((side * 0.74) ** 2 - (w * 0.925 - x) ** 2))
    canvas.paint(lambda p: p.disc(*spot, side * 0.022), canvas.accent, 1.0)


def _stripes(canvas: _Canvas, rng: np.random.Generator) -> None:
    w, h, side = canvas.width, canvas.height, min(canvas.width, canvas.height)
    lean, thick = side * 0.55, side * 0.16

    def band(x: float, top: float, height: float, wide: float) -> Points:
        tilt = lean * height / h
        return [(x + tilt, top), (x + tilt + wide, top), (x + wide, top + height), (x, top + height)]

    start = w * rng.uniform(0.5, 0.62)
    canvas.paint(
        lambda p: p.polygons([band(start + n * thick * 1.7, -10, h + 20, thick) for n in range(4)]), "#FFFFFF", 0.05
    )
    canvas.paint(lambda p: p.polygons([band(-thick * 1.4, -10, h + 20, thick * 0.9)]), "#000000", 0.22)
    canvas.paint(lambda p: p.polygons([band(w * 0.83, -10, h * 0.2, thick * 0.42)]), canvas.accent, 0.95)
    canvas.paint(lambda p: p.polygons([band(w * 0.02, h * 0.86, h * 0.2, thick * 0.42)]), canvas.accent, 0.95)
    gap = side * 0.034
    canvas.paint(
        lambda p: p.discs([(w * 0.06 + c * gap, h * 0.07 + r * gap) for r in range(9) for c in range(9)], gap * 0.13),
        "#FFFFFF",
        0.35,
    )
    canvas.paint(lambda p: p.ring(w * 0.93, h * 0.83, side * 0.2, side * 0.028), "#FFFFFF", 0.16)


def _frame(canvas: _Canvas, rng: np.random.Generator) -> None:
    w, h, side = canvas.width, canvas.height, min(canvas.width, canvas.height)
    inset = side * (0.085 if h < 1.5 * w else 0.105)  # on wide pictures the titles reach further out
    base = h + side * rng.uniform(0.02, 0.08)

    def ray(angle: float) -> Points:
        ends = [(w / 2 + math.cos(a) * h, base - math.sin(a) * h) for a in (angle, angle + 0.012)]
        return [(w / 2, base), *ends]

    canvas.paint(lambda p: p.rings(w / 2, base, [side * (0.16 + 0.075 * n) for n in range(9)], 2), canvas.accent, 0.26)
    canvas.paint(
        lambda p: p.rings(w / 2, h - base, [side * (0.16 + 0.075 * n) for n in range(5)], 2), canvas.accent, 0.2
    )
    canvas.paint(
        lambda p: p.polygons([ray(angle) for angle in np.linspace(0.3, math.pi - 0.3, 15)]),
        canvas.accent,
        0.05,
    )
    canvas.paint(lambda p: p.box(inset, inset, w - 2 * inset, h - 2 * inset, 2.5), canvas.accent, 0.75)
    wide = inset * 1.16
    canvas.paint(lambda p: p.box(wide, wide, w - 2 * wide, h - 2 * wide, 1), canvas.accent, 0.5)


def _blobs(canvas: _Canvas, rng: np.random.Generator) -> None:
    w, h, side = canvas.width, canvas.height, min(canvas.width, canvas.height)

    def blob(x: float, y: float, radius: float, phase: float) -> Points:
        turn = np.linspace(0, 2 * math.pi, 90, endpoint=False)
        reach = radius * (1 + 0.16 * np.sin(3 * turn + phase) + 0.08 * np.sin(5 * turn - phase))
        return [(x + r * math.cos(t), y + r * math.sin(t)) for r, t in zip(reach, turn, strict=True)]

    phase = rng.uniform(0, 6)
    # On wide pictures the titles reach further out, so the blobs keep closer to the corners.
    big = side * min(1.0, 0.62 * h / w if h < 1.5 * w else 1.0)
    canvas.paint(lambda p: p.polygon(blob(w * 0.96, h * 0.04, big * 0.42, phase)), "#FF8FB1", 0.85)
    canvas.paint(lambda p: p.polygon(blob(w * 0.02, h * 0.96, big * 0.46, phase + 1)), canvas.accent, 0.9)
    canvas.paint(lambda p: p.polygon(blob(w * 0.03, h * 0.12, big * 0.17, phase + 2)), "#FFFFFF", 0.14)
    canvas.paint(lambda p: p.polygon(blob(w * 0.99, h * 0.8, big * 0.22, phase + 3)), "#7FE3D4", 0.7)
    for color in ("#FFFFFF", canvas.accent, "#7FE3D4", "#FF8FB1"):
        spots = [
            (rng.uniform(0.04, 0.96) * w, (rng.uniform(0.02, 0.2) if n % 2 else rng.uniform(0.8, 0.97)) * h)
            for n in range(6)
        ]
        radius = side * rng.uniform(0.008, 0.014)
        canvas.paint(lambda p, s=spots, r=radius: p.discs(s, r), color, 0.85)  # type: ignore[misc]


ORNAMENTS: dict[OrnamentKind, Callable[[_Canvas, np.random.Generator], None]] = {
    "rings": _rings,
    "stripes": _stripes,
    "frame": _frame,
    "blobs": _blobs,
}

"""RGB -> limited-range BT.709 planes, a strip of rows at a time.

Whole frames of floats would be 31 MB apiece, several at once, beside the encoder's memory. Runs in the child only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.film import art
from pipeline.film.art import Grain, Pixels, strips

Bytes = NDArray[np.uint8]
Rows = Callable[[slice], Pixels]  # RGB, 0 to 255, of a span of rows

RED, GREEN, BLUE = np.float32(0.2126), np.float32(0.7152), np.float32(0.0722)  # BT.709
U_SCALE, V_SCALE = np.float32(224 / 255 / 1.8556), np.float32(224 / 255 / 1.5748)


@dataclass(frozen=True)
class Planes:
    """One picture as Y, U and V; U and V have half the size (all sizes even)."""

    y: Bytes
    u: Bytes
    v: Bytes


Premultiplied = tuple[Planes, Bytes, Bytes]  # the planes, and alpha at both sizes


def to_planes(rows: Rows, width: int, height: int, noise: float, seed: int) -> Planes:
    """A picture to limited-range BT.709; `noise` dithers the luma."""
    grain = Grain(width, height, seed)
    return _stacked([_planes(rows(span), grain.rows(span) * np.float32(noise)) for span in strips(height)])


def soft_planes(small: Pixels, width: int, height: int, seed: int) -> Planes:
    """A soft picture given at a tenth of its size: converted there, and only then made large."""
    luma = _luma(small)
    u = 128 + (small[..., 2] - luma) * U_SCALE
    v = 128 + (small[..., 0] - luma) * V_SCALE
    large, grain = art.enlarge_plane(_scaled(luma), width, height), Grain(width, height, seed)
    y = np.concatenate([_bytes(large[span] + grain.rows(span) * np.float32(art.NOISE)) for span in strips(height)])
    half = (width // 2, height // 2)
    return Planes(y, _bytes(art.enlarge_plane(u, *half)), _bytes(art.enlarge_plane(v, *half)))


def premultiplied(rows: Callable[[slice], tuple[Pixels, Pixels, Pixels | None]], height: int) -> Premultiplied:
    """Planes of premultiplied RGB (0..255), and alpha (0..1) as bytes at both sizes; all sides even.

    `rows` gives a span's pixels, alpha, and noise for its luma.
    """
    parts = [_premultiplied(*rows(span)) for span in strips(height)]
    planes, alpha, half = zip(*parts, strict=True)
    return _stacked(planes), np.concatenate(alpha), np.concatenate(half)


def to_image(planes: Planes) -> Image.Image:
    """Planes as an RGB picture."""
    u, v = (np.repeat(np.repeat(plane, 2, 0), 2, 1).astype(np.float32) - 128 for plane in (planes.u, planes.v))
    luma = (planes.y.astype(np.float32) - 16) * np.float32(255 / 219)
    blue, red = luma + u / U_SCALE, luma + v / V_SCALE
    green = (luma - RED * red - BLUE * blue) / GREEN
    return Image.fromarray(np.clip(np.dstack((red, green, blue)) + 0.5, 0, 255).astype(np.uint8))


def _planes(pixels: Pixels, noise: Pixels) -> Planes:
    luma = _luma(pixels)
    small, red, blue = quarter(luma), quarter(pixels[..., 0]), quarter(pixels[..., 2])
    y, u, v = _scaled(luma) + noise, 128 + (blue - small) * U_SCALE, 128 + (red - small) * V_SCALE
    return Planes(_bytes(y), _bytes(u), _bytes(v))


def _premultiplied(pixels: Pixels, alpha: Pixels, noise: Pixels | None) -> Premultiplied:
    # In limited-range YUV black is (16, 128, 128), so the offsets are weighted by alpha.
    luma = _luma(pixels)
    y = 16 * alpha + luma * np.float32(219 / 255)
    if noise is not None:
        y += noise
    half, small = quarter(alpha), quarter(luma)
    u = 128 * half + (quarter(pixels[..., 2]) - small) * U_SCALE
    v = 128 * half + (quarter(pixels[..., 0]) - small) * V_SCALE
    return Planes(_bytes(y), _bytes(u), _bytes(v)), _bytes(alpha * 255), _bytes(half * 255)


def _stacked(parts: Sequence[Planes]) -> Planes:
    return Planes(*(np.concatenate([getattr(part, plane) for part in parts]) for plane in ("y", "u", "v")))


def _luma(pixels: Pixels) -> Pixels:
    return np.asarray(pixels[..., 0] * RED + pixels[..., 1] * GREEN + pixels[..., 2] * BLUE, np.float32)


def _scaled(luma: Pixels) -> Pixels:
    return luma * np.float32(219 / 255) + np.float32(16)


def quarter(plane: Pixels) -> Pixels:
    """A plane of half the size, each pixel the mean of four."""
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _bytes(plane: Pixels) -> Bytes:
    return np.ascontiguousarray(np.clip(plane + np.float32(0.5), 0, 255).astype(np.uint8))

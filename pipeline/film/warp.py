"""Sub-pixel scaling and blending of single planes: OpenCV, or Pillow where OpenCV is missing.

`view` is a part of a larger plane and is written in place. Runs in the child only.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
Spot = tuple[int, int]


class Backend(Protocol):
    """What the compositor needs of an image library."""

    def warp(self, source: Bytes, view: Bytes, k: float, x: float, y: float) -> None:
        """Fill `view`: its pixel (i, j) shows the source at ((i + .5) k + x - .5, (j + .5) k + y - .5), bilinear."""

    def zoom(self, source: Bytes, view: Bytes, k: float, at: Spot, spot: Spot) -> None:
        """The same when the corner `spot` of the view's plane, in the view's own pixels, shows the source's corner `at`.

        Both are whole pixels, which allows a plain resize: a third of the cost of `warp`.
        """

    def over(self, view: Bytes, source: Bytes, alpha: Bytes) -> None:
        """Lay a premultiplied source over the view."""

    def mix(self, one: Bytes, other: Bytes, share: float, out: Bytes) -> None:
        """`share` of the other in the one."""

    def masked(self, one: Bytes, other: Bytes, mask: Bytes, out: Bytes) -> None:
        """The other where the mask is 255, the one where it is 0."""


class OpenCv:
    """Planar `warpAffine`: 0.003 px of jitter at a third of Pillow's cost."""

    def __init__(self) -> None:
        import cv2

        # One film is one core of this plus the encoder's; more threads made it slower.
        cv2.setNumThreads(1)
        self._cv: Any = cv2

    def warp(self, source: Bytes, view: Bytes, k: float, x: float, y: float) -> None:
        """Backend.warp, by `warpAffine`."""
        cv = self._cv
        matrix = np.array([[k, 0, x + 0.5 * k - 0.5], [0, k, y + 0.5 * k - 0.5]])
        cv.warpAffine(
            source,
            matrix,
            (view.shape[1], view.shape[0]),
            dst=view,
            flags=cv.INTER_LINEAR | cv.WARP_INVERSE_MAP,
            borderMode=cv.BORDER_REPLICATE,
        )

    def zoom(self, source: Bytes, view: Bytes, k: float, at: Spot, spot: Spot) -> None:
        """Backend.zoom, by `resize`."""
        # A resize is anchored at the corner of what it is given. So the view is cut at the fixed spot into up to four
        # parts; those left of it or above it are resized from mirrored parts of the source and mirrored back.
        height, width = view.shape
        mid_x, mid_y = min(max(spot[0], 0), width), min(max(spot[1], 0), height)
        for x0, x1 in ((0, mid_x), (mid_x, width)):
            for y0, y1 in ((0, mid_y), (mid_y, height)):
                if x1 > x0 and y1 > y0:
                    self._quarter(source, view[y0:y1, x0:x1], k, at, (spot[0] - x0, spot[1] - y0))

    def _quarter(self, source: Bytes, part: Bytes, k: float, at: Spot, spot: Spot) -> None:
        """One part that lies wholly on one side of the spot; `spot` is in the part's own pixels."""
        cv = self._cv
        height, width = part.shape
        spans, flips = [], []
        for length, fixed, origin, limit in (
            (width, spot[0], at[0], source.shape[1]),
            (height, spot[1], at[1], source.shape[0]),
        ):
            mirrored = fixed > 0
            far = fixed if mirrored else length - fixed
            reach = math.ceil(far * k) + 1
            spans.append((max(0, origin - reach), origin) if mirrored else (origin, min(limit, origin + reach)))
            flips.append(mirrored)
        (x0, x1), (y0, y1) = spans
        piece = source[y0:y1, x0:x1]
        code = {(True, True): -1, (True, False): 1, (False, True): 0}.get((flips[0], flips[1]))
        if code is not None:
            piece = cv.flip(piece, code)
        whole = cv.resize(piece, None, fx=1 / k, fy=1 / k, interpolation=cv.INTER_LINEAR)
        skip_x = spot[0] - width if flips[0] else -spot[0]
        skip_y = spot[1] - height if flips[1] else -spot[1]
        shown = whole[skip_y : skip_y + height, skip_x : skip_x + width]
        missing_x, missing_y = width - shown.shape[1], height - shown.shape[0]
        if missing_x > 0 or missing_y > 0:
            # The source ends a fraction of a pixel too early: its last column or row is repeated.
            shown = cv.copyMakeBorder(shown, 0, max(0, missing_y), 0, max(0, missing_x), cv.BORDER_REPLICATE)
        if code is None:
            part[:] = shown
        else:
            cv.flip(shown, code, dst=part)

    def over(self, view: Bytes, source: Bytes, alpha: Bytes) -> None:
        """Backend.over."""
        cv = self._cv
        kept = cv.multiply(view, cv.bitwise_not(alpha), scale=1 / 255)
        cv.add(kept, source, dst=view)

    def mix(self, one: Bytes, other: Bytes, share: float, out: Bytes) -> None:
        """Backend.mix."""
        self._cv.addWeighted(one, 1 - share, other, share, 0, dst=out)

    def masked(self, one: Bytes, other: Bytes, mask: Bytes, out: Bytes) -> None:
        """Backend.masked."""
        cv = self._cv
        kept = cv.multiply(one, cv.bitwise_not(mask), scale=1 / 255)
        cv.add(kept, cv.multiply(other, mask, scale=1 / 255), dst=out)


class Pillow:
    """The same by Pillow and numpy, slower."""

    def warp(self, source: Bytes, view: Bytes, k: float, x: float, y: float) -> None:
        """Backend.warp, by a boxed resize."""
        height, width = view.shape
        limit_x, limit_y = source.shape[1], source.shape[0]
        box = (max(0.0, x), max(0.0, y), min(limit_x, x + width * k), min(limit_y, y + height * k))
        image = Image.fromarray(source)
        view[:] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))

    def zoom(self, source: Bytes, view: Bytes, k: float, at: Spot, spot: Spot) -> None:
        """Backend.zoom, as a warp."""
        self.warp(source, view, k, at[0] - spot[0] * k, at[1] - spot[1] * k)

    def over(self, view: Bytes, source: Bytes, alpha: Bytes) -> None:
        """Backend.over."""
        kept = view.astype(np.uint16) * (255 - alpha.astype(np.uint16)) // 255
        view[:] = np.minimum(kept + source, 255).astype(np.uint8)

    def mix(self, one: Bytes, other: Bytes, share: float, out: Bytes) -> None:
        """Backend.mix."""
        out[:] = (one * np.float32(1 - share) + other * np.float32(share) + np.float32(0.5)).astype(np.uint8)

    def masked(self, one: Bytes, other: Bytes, mask: Bytes, out: Bytes) -> None:
        """Backend.masked."""
        share = mask.astype(np.uint16)
        out[:] = ((one * (255 - share) + other * share) // 255).astype(np.uint8)


def best_backend() -> Backend:
    """OpenCV when it can be imported."""
    try:
        return OpenCv()
    except ImportError:
        return Pillow()

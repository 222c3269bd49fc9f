"""A logo as planes, drawn over the frame where it stands still. Runs in the child only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.film.art import rgb
from pipeline.film.brand import PAD
from pipeline.film.pictures import rounded
from pipeline.film.planes import Bytes, Planes, premultiplied
from pipeline.film.timeline import Picture

SUPERSAMPLING = 4


@dataclass(frozen=True)
class MarkPlanes:
    """Premultiplied planes with alpha at both sizes."""

    planes: Planes
    alpha: Bytes
    alpha_half: Bytes

    def faded(self, share: float) -> MarkPlanes:
        """At `share` of its visibility."""

        def less(plane: Bytes) -> Bytes:
            return np.asarray(plane * np.float32(share) + np.float32(0.5), np.uint8)

        y, u, v = (less(plane) for plane in (self.planes.y, self.planes.u, self.planes.v))
        return MarkPlanes(Planes(y, u, v), less(self.alpha), less(self.alpha_half))


def light_of(path: str) -> float | None:
    """The WCAG luminance (0..1) of what is seen of a logo; None for one without a clear ground."""
    with Image.open(path, formats=("PNG",)) as opened:
        if opened.mode != "RGBA":
            return None
        pixels = np.asarray(opened.resize((64, 64)), np.float32) / 255
    seen = pixels[..., 3]
    linear = np.where(pixels[..., :3] <= 0.04045, pixels[..., :3] / 12.92, ((pixels[..., :3] + 0.055) / 1.055) ** 2.4)
    light = linear @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return float((light * seen).sum() / max(float(seen.sum()), 1e-6))


def mark(picture: Picture) -> MarkPlanes:
    """The logo at its size, on its chip where it has one."""
    with Image.open(picture.path, formats=("PNG",)) as opened:
        logo = opened.convert("RGBA")
    size = (picture.width, picture.height)
    whole = Image.new("RGBA", size)
    shape = rounded(*size, picture.radius, SUPERSAMPLING)
    if picture.colors:
        whole.paste(Image.new("RGBA", size, (*rgb(picture.colors[0]), 255)), mask=shape)
    scale = min(size[0] / logo.width, size[1] / logo.height)
    if picture.colors:
        scale = min(scale, size[1] / (1 + 2 * PAD) / logo.height)
    logo = logo.resize(
        (max(1, round(logo.width * scale)), max(1, round(logo.height * scale))), Image.Resampling.LANCZOS
    )
    whole.alpha_composite(logo, ((size[0] - logo.width) // 2, (size[1] - logo.height) // 2))
    pixels = np.asarray(whole, np.float32)
    alpha = pixels[..., 3] / np.float32(255)
    return MarkPlanes(
        *premultiplied(lambda span: (pixels[span, :, :3] * alpha[span, :, None], alpha[span], None), size[1])
    )

"""The user's logo: where it stands in a scene, and on what, so that it is always seen."""

from __future__ import annotations

from pipeline.film.colors import contrast_of, luminance
from pipeline.film.layout import Rect, even
from pipeline.film.timeline import Mark, Picture
from pipeline.film.views import Logo, SceneView

LEAST_CONTRAST = 1.9
LARGEST_SCALE = 1.5  # a tiny logo blown up looks worse than a small one
PAD = 0.34  # of the logo's height, around it on its chip
DARK, LIGHT = "#15191D", "#FFFFFF"
CLIP_LIGHT = 0.05  # what a clip is taken for behind a logo: it is darkened there


def mark(view: SceneView, logo: Logo, area: Rect, *, left: bool, right: bool = False) -> tuple[Mark, Rect]:
    """The logo as large as the area allows, in its middle (or at one of its ends), and what it covers.

    A logo that would drown in the scene's ground stands on a chip of the other kind.
    """
    chip = _chip(view, logo)
    pad = area.height * PAD / (1 + 2 * PAD) if chip else 0.0
    scale = min((area.width - 2 * pad) / logo.width, (area.height - 2 * pad) / logo.height, LARGEST_SCALE)
    pad = logo.height * scale * PAD if chip else 0.0
    width, height = even(logo.width * scale + 2 * pad), even(logo.height * scale + 2 * pad)
    x = even(area.right - width if right else area.x if left else area.cx - width / 2)
    y = even(area.cy - height / 2)
    picture = Picture(
        treatment="logo",
        width=width,
        height=height,
        path=logo.path,
        colors=(chip,) if chip else (),
        radius=height * (0.5 if view.theme.radius > 0.05 else view.theme.radius) * 0.5,
    )
    return Mark(picture, (x, y)), Rect(x, y, width, height)


def _chip(view: SceneView, logo: Logo) -> str:
    if logo.light is None:  # it brings its own ground
        return ""
    behind = CLIP_LIGHT if view.moves else luminance(view.theme.background[0])
    if contrast_of(logo.light, behind) >= LEAST_CONTRAST:
        return ""
    return max((DARK, LIGHT), key=lambda color: contrast_of(luminance(color), logo.light or 0.0))

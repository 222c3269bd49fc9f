"""Five stars in a row, so many of them lit: shown only where the payload gives a rating."""

from __future__ import annotations

from pipeline.film.timeline import Shape
from pipeline.film.views import SceneView

STARS = 5
STAR_GAP = 0.62  # of a star's height, between two and below the row
STEP_SECONDS = 0.11
UNLIT_ALPHA = 0.72


def stars(view: SceneView, lit: int, x: float, y: float, height: float) -> tuple[Shape, ...]:
    """The row around its middle (x, y); nothing for a rating of 0."""
    if not lit:
        return ()
    step = height * (1 + STAR_GAP * 0.6)
    return tuple(
        Shape(
            kind="star",
            x=x + (number - (STARS - 1) / 2) * step,
            y=y,
            width=height,
            height=height,
            color=view.theme.highlight if number < lit else "#FFFFFF",
            start=view.opens + STEP_SECONDS * number,
            end=view.closes,
            alpha=0.0 if number < lit else UNLIT_ALPHA,
            enter="pop",
            layer=6,
        )
        for number in range(STARS)
    )

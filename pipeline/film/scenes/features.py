"""Several things in one breath, as ticked rows."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.colors import luminance, mix, on
from pipeline.film.directions import is_right_to_left
from pipeline.film.grounds import ground, shot, veil
from pipeline.film.layout import Rect, clean
from pipeline.film.timeline import Label, Shape
from pipeline.film.titles import kicker_and_title
from pipeline.film.typeset import Look, block, measure
from pipeline.film.views import WHITE, Drawn, SceneView

MOST_ROWS = 5
RAISED, DARK = 0.1, 0.2  # a share of white; a luminance
DIM = 0.4


def draw(view: SceneView) -> Drawn:
    """See the module."""
    stage, theme = view.stage, view.theme
    head = clean(view.scene.headline, upper=theme.upper)
    rows = [line for line in (clean(line) for line in view.scene.lines) if line][:MOST_ROWS]
    labels = kicker_and_title(view, view.scene.kicker, head, stage.list_head, stage.headline_px * 0.8, 3)
    plate = veil(view) if view.photo else ground(view, dim=DIM)
    more, shapes = _rows(view, rows)
    return Drawn(shot(view, plate, None), labels + more, shapes)


def _rows(view: SceneView, rows: list[str]) -> tuple[tuple[Label, ...], tuple[Shape, ...]]:
    stage, theme = view.stage, view.theme
    if not rows:
        return (), ()
    area = stage.list_area
    gap = stage.row_px * 0.5
    height = min((area.height - gap * (len(rows) - 1)) / len(rows), stage.row_px * 3.1)
    top = area.cy - (height * len(rows) + gap * (len(rows) - 1)) / 2
    if not stage.left and stage.height > stage.width:
        top = area.y + (top - area.y) * 0.5
    disc = min(height * 0.5, stage.row_px * 1.3)
    mirrored = is_right_to_left(rows[0])
    text_area = Rect(area.x + disc * (0.6 if mirrored else 2.0), 0, area.width - disc * 2.6, height * 0.82)
    look = Look(theme.text, stage.row_px, on(theme.panel, ink=theme.ink), lines=2, floor=26, left=True, stagger=False)
    look = replace(look, right=mirrored)
    # One size for all rows: the smallest that any of them needs.
    look = replace(look, px=min(measure(row, text_area, look)[1] for row in rows))
    labels: list[Label] = []
    shapes: list[Shape] = []
    # Rows come in across the first part of the scene, in step with the voice that reads them.
    step = min(0.55, 0.5 * (view.closes - view.opens) / len(rows))
    for at, row in enumerate(rows):
        y = top + at * (height + gap)
        start = view.opens + 0.35 + at * step
        middle = y + height / 2
        panel = Shape(
            kind="box",
            x=area.cx,
            y=middle,
            width=area.width,
            height=height,
            color=_panel(view),
            start=start,
            end=view.closes,
            radius=min(height * 0.5, area.width * theme.radius * 0.6),
            alpha=0.06,
            enter="rise",
        )
        # Only the shadow's lower rim would show, and libass pays for every pixel.
        shade = replace(
            panel, y=y + height - 8, width=area.width - 14, height=30, color="#000000", alpha=0.84, blur=10, layer=4
        )
        tick_x = area.right - disc * 1.1 if mirrored else area.x + disc * 1.1
        badge = replace(
            panel, x=tick_x, width=disc, height=disc, radius=disc / 2, color=theme.accent, alpha=0.0, layer=6
        )
        tick = replace(badge, kind="check", width=disc * 0.5, height=disc * 0.5, color=on(theme.accent), layer=7)
        shapes += [shade, panel, badge, tick]
        labels += block(row, replace(text_area, y=middle - text_area.height / 2), look, start, view.closes).labels
    return tuple(labels), tuple(shapes)


def _panel(view: SceneView) -> str:
    """The rows' ground; a dark one is raised a little before a photo's veil, in which it would sink."""
    panel = view.theme.panel
    return mix(panel, WHITE, RAISED) if view.photo and luminance(panel) < DARK else panel

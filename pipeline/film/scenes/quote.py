"""What somebody said of the product, in their own words, and who it was; only as the payload gives it."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.colors import mix
from pipeline.film.grounds import artwork, shot
from pipeline.film.layout import Rect, clean
from pipeline.film.stars import stars
from pipeline.film.timeline import Label
from pipeline.film.titles import on_art, title_look
from pipeline.film.typeset import Look, block, measure
from pipeline.film.views import Drawn, SceneView

DIM = 0.5
MOST_LINES = 6
MARK = "\u201c"


def draw(view: SceneView) -> Drawn:
    """`headline` is the quotation, the first of `lines` its author."""
    stage, theme = view.stage, view.theme
    color = view.ink if view.moves else on_art(theme)
    room = stage.middle
    author = clean(" ".join(view.scene.lines[:1]))
    small = Look(
        theme.text,
        stage.row_px * 0.85,
        color if view.moves else mix(color, theme.art[0], 0.12),
        lines=1,
        floor=22,
        stagger=False,
    )
    star = stage.row_px * 0.95
    above = star * 1.9
    below = small.px * 2.7 if author else 0.0
    words = Rect(room.x, room.y, room.width, room.height - above - below)
    look = replace(
        title_look(view, stage.middle_px * 0.76, MOST_LINES), color=color, left=False, leading=1.18, floor=34
    )
    text = clean(view.scene.headline).strip("\u201c\u201d\u201e\u00ab\u00bb\"' ")
    _, px, tall = measure(text, words, look)
    top = room.cy - (above + tall + below) / 2
    said = block(text, words, replace(look, px=px), view.opens + 0.1, view.closes, top=top + above)
    labels = said.labels
    if author:
        labels += block(
            f"\u2014 {author}", room, small, view.opens + 0.6, view.closes, top=top + above + tall + small.px * 1.8
        ).labels
    if view.scene.stars:
        return Drawn(
            shot(view, artwork(view, dim=DIM), None),
            labels,
            stars(view, view.scene.stars, room.cx, top + star / 2, star),
        )
    return Drawn(shot(view, artwork(view, dim=DIM), None), (_mark(view, room.cx, top + star / 2, star), *labels))


def _mark(view: SceneView, x: float, y: float, height: float) -> Label:
    """The opening mark of a quotation, large, in the place of stars."""
    px = height * 4.2
    return Label(
        text=MARK,
        x=x,
        y=y + px * 0.3,
        px=px,
        face=view.theme.display,
        color=view.theme.highlight,
        start=view.opens,
        end=view.closes,
        enter="pop",
    )

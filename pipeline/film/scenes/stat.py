"""A figure that counts up on art, with what it counts; stars above it where the payload gives them."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.grounds import artwork, shot
from pipeline.film.layout import Rect, clean
from pipeline.film.stars import stars
from pipeline.film.titles import on_art, title_look
from pipeline.film.typeset import Look, block, measure
from pipeline.film.views import Drawn, SceneView

DIM = 0.5
COUNT_SECONDS = 0.9


def draw(view: SceneView) -> Drawn:
    """`headline` is the figure, the first of `lines` its label."""
    stage, theme = view.stage, view.theme
    color = view.ink if view.moves else on_art(theme)
    room = stage.middle
    figure = clean(view.scene.headline, upper=theme.upper)
    look = replace(title_look(view, stage.price_px * 1.25, 1), color=color, left=False, stagger=False, floor=60)
    small = Look(theme.text, stage.row_px * 1.15, color, lines=2, floor=26, stagger=False, shadow=look.shadow)
    label = clean(" ".join(view.scene.lines[:1]))
    _, px, tall = measure(figure, Rect(room.x, room.y, room.width, room.height / 2), look)
    _, small_px, low = measure(label, Rect(room.x, room.y, room.width, room.height / 4), small)
    star = stage.row_px * 1.1 if view.scene.stars else 0.0
    above, between = star * 1.75, small_px * 1.0
    top = room.cy - (above + tall + between + low) / 2
    shapes = stars(view, view.scene.stars, room.cx, top + star / 2, star)
    number = block(figure, room, replace(look, px=px), view.opens + 0.15, view.closes, top=top + above)
    counting = tuple(replace(one, enter="fade", count=COUNT_SECONDS) for one in number.labels)
    under = block(label, room, small, view.opens + 0.5, view.closes, top=top + above + tall + between)
    return Drawn(shot(view, artwork(view, dim=DIM), None), counting + under.labels, shapes)

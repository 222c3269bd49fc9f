"""What it costs, large, with its card or alone on art."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film import fonts
from pipeline.film.directions import is_right_to_left
from pipeline.film.grounds import artwork, card, ground, shot
from pipeline.film.layout import clean
from pipeline.film.scenes import benefit
from pipeline.film.themes import readable_accent
from pipeline.film.timeline import Shape
from pipeline.film.titles import heading, on_art, title_look
from pipeline.film.typeset import Look, block
from pipeline.film.views import Drawn, SceneView

DIM = 0.45
BAR = 0.7  # a short bar under the price, in its size: a longer one would underline a part of it


def draw(view: SceneView) -> Drawn:
    """See the module."""
    stage, theme = view.stage, view.theme
    price = clean(view.job.price)
    if not price:
        return benefit.draw(view)
    photo = view.photo
    head_area, price_area = stage.price_head, stage.price
    left = stage.left and photo is not None
    if photo is None:
        # Alone on art: both in the middle, and larger.
        room = stage.middle
        shift = room.cy - (head_area.y + price_area.bottom) / 2
        head_area = replace(head_area, x=room.x, width=room.width, y=head_area.y + shift)
        price_area = replace(price_area, x=room.x, width=room.width, y=price_area.y + shift)
    color = view.ink if photo or view.moves else on_art(theme)
    size = stage.price_px * (1.0 if photo else 1.2)
    look = Look(theme.display, size, color, lines=1, left=left, stagger=False, leading=theme.leading, floor=40)
    if photo:
        look = replace(look, color=readable_accent(theme))
    look = replace(look, shadow=title_look(view, 1, 1).shadow)
    figure = block(price, price_area, look, view.opens + 0.35, view.closes)
    head_look = replace(title_look(view, stage.headline_px * 0.56, 2), color=color, left=left)
    head = block(clean(heading(view, price), upper=theme.upper), head_area, head_look, view.opens + 0.1, view.closes)
    labels = head.labels + tuple(replace(label, enter="pop") for label in figure.labels)
    px = figure.labels[0].px
    bar = min(stage.price_px * BAR, figure.area.width)
    edge = figure.area.right - bar / 2 if is_right_to_left(price) else figure.area.x + bar / 2
    line = Shape(
        kind="line",
        x=edge if left else figure.area.cx,
        y=figure.area.bottom + max(px * 0.24, stage.price_px * 0.2) + px * fonts.rise(price, theme.display),
        width=bar,
        height=max(6.0, look.px * 0.035),
        color=readable_accent(theme) if photo else theme.highlight,
        start=view.opens + 0.6,
        end=view.closes,
        radius=10,
        enter="pop",
    )
    plate = ground(view, dim=DIM) if photo else artwork(view, dim=DIM)
    area = stage.card if stage.left else stage.end_card
    return Drawn(shot(view, plate, card(view, area) if photo else None), labels, (line,))

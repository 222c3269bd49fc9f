"""The opening: the product's name over its card."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.brand import mark
from pipeline.film.directions import is_right_to_left
from pipeline.film.grounds import card, ground, shot
from pipeline.film.layout import clean
from pipeline.film.titles import kicker_and_title, title_look
from pipeline.film.typeset import block, measure
from pipeline.film.views import Drawn, Logo, SceneView

LOGO_KICKERS = 2.9  # how many kickers high the logo is


def draw(view: SceneView) -> Drawn:
    """See the module."""
    stage, theme = view.stage, view.theme
    name = clean(view.scene.headline or view.job.product_name, upper=theme.upper)
    if view.logo:
        return _under_logo(view, view.logo, name)
    labels = kicker_and_title(view, view.scene.kicker, name, stage.headline, stage.headline_px, 4)
    return Drawn(shot(view, ground(view), card(view, stage.card)), labels)


def _under_logo(view: SceneView, logo: Logo, name: str) -> Drawn:
    """The logo in the kicker's place, and the name close below it."""
    stage = view.stage
    area, look = stage.headline, title_look(view, stage.headline_px * 0.9, 3)
    head = stage.kicker_px * LOGO_KICKERS
    room = replace(area, y=area.y + head * 1.3, height=area.height - head * 1.3)
    _, px, height = measure(name, room, look)
    top = area.cy - (head * 1.3 + height) / 2
    above = replace(area, y=top, height=head)
    placed, _ = mark(view, logo, above, left=stage.left, right=stage.left and is_right_to_left(name))
    title = block(name, room, replace(look, px=px), view.opens + 0.1, view.closes, top=top + head * 1.3)
    return Drawn(shot(view, ground(view), card(view, stage.card), (placed,)), title.labels)

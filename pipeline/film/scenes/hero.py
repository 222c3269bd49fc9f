"""The opening: the product's name over its card."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.brand import mark
from pipeline.film.directions import is_right_to_left
from pipeline.film.grounds import card, ground, shot
from pipeline.film.layout import clean
from pipeline.film.titles import kicker_and_title, title_look, under
from pipeline.film.views import Drawn, Logo, SceneView

LOGO_KICKERS, LOGO_GAP = 2.9, 1.6  # how many kickers high the logo is; with the gap below it, in its height


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
    high = stage.kicker_px * LOGO_KICKERS
    labels, top = under(view, name, area, look, head=high * LOGO_GAP)
    above = replace(area, y=top, height=high)
    placed, _ = mark(view, logo, above, left=stage.left, right=stage.left and is_right_to_left(name))
    return Drawn(shot(view, ground(view), card(view, stage.card), (placed,)), labels)

"""The opening: the product's name over its card."""

from __future__ import annotations

from pipeline.film.grounds import card, ground, shot
from pipeline.film.layout import clean
from pipeline.film.titles import kicker_and_title
from pipeline.film.views import Drawn, SceneView


def draw(view: SceneView) -> Drawn:
    """See the module."""
    stage, theme = view.stage, view.theme
    name = clean(view.scene.headline or view.job.product_name, upper=theme.upper)
    labels = kicker_and_title(view, view.scene.kicker, name, stage.headline, stage.headline_px, 4)
    return Drawn(shot(view, ground(view), card(view, stage.card)), labels)

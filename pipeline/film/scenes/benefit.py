"""One thing to say: beside its card, on the whole photo, or alone on art."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.colors import mix
from pipeline.film.grounds import artwork, card, extended, ground, shot, veil
from pipeline.film.layout import clean
from pipeline.film.titles import accent_bar, kicker_and_title, on_art, stacked, title_look
from pipeline.film.views import WHITE, Drawn, SceneView

FULL_RATIO = 1.36  # a taller photo would reach up behind the headline


def draw(view: SceneView) -> Drawn:
    """See the module."""
    stage, photo = view.stage, view.photo
    headline = clean(view.scene.headline, upper=view.theme.upper)
    if view.moves:
        labels = kicker_and_title(view, view.scene.kicker, headline, stage.headline, stage.headline_px * 0.9, 3)
        return Drawn(shot(view, ground(view), None), labels)
    if photo is None:
        color = on_art(view.theme)
        look = replace(title_look(view, stage.middle_px, 4), color=color, left=False)
        labels = stacked(view, view.scene.kicker, headline, stage.middle, look, mix(color, view.theme.art[0], 0.2))
        return Drawn(shot(view, artwork(view), None), labels, accent_bar(view, labels))
    full = stage.height > stage.width and not photo.contained and 1.0 <= photo.height / photo.width <= FULL_RATIO
    if full and view.at % 2:
        look = replace(title_look(view, stage.headline_px * 0.9, 3), color=WHITE, shadow=0.5)
        labels = stacked(view, view.scene.kicker, headline, stage.headline, look, WHITE)
        return Drawn(shot(view, extended(view), None), labels)
    labels = kicker_and_title(view, view.scene.kicker, headline, stage.headline, stage.headline_px * 0.86, 3)
    return Drawn(shot(view, veil(view), card(view, stage.card, closer=True)), labels)

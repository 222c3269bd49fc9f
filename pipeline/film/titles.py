"""Titles and what goes with them, as the scenes set them."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film import fonts
from pipeline.film.colors import contrast
from pipeline.film.layout import Rect, clean
from pipeline.film.theme import Theme
from pipeline.film.themes import readable_accent
from pipeline.film.timeline import Label, Shape
from pipeline.film.typeset import Look, block, measure
from pipeline.film.views import WHITE, SceneView


def title_look(view: SceneView, px: float, lines: int) -> Look:
    """A title in the theme's display face, at most `px` large and on at most so many lines."""
    theme = view.theme
    return Look(
        theme.display,
        px * theme.display_scale,
        view.ink,
        leading=theme.leading,
        tracking=-0.02 if fonts.same(theme.display, fonts.DISPLAY) else 0.0,
        lines=lines,
        floor=40,
        left=view.stage.left,
        shadow=0.5 if view.moves else 0.0,
    )


def kicker_and_title(view: SceneView, kicker: str, title: str, area: Rect, px: float, lines: int) -> tuple[Label, ...]:
    """A title under its kicker, in the scene's own colours."""
    color = WHITE if view.moves else readable_accent(view.theme)
    return stacked(view, kicker, title, area, title_look(view, px, lines), color)


def stacked(view: SceneView, kicker: str, title: str, area: Rect, look: Look, kicker_color: str) -> tuple[Label, ...]:
    """A small spaced line above a title, both centred together in the area."""
    small = Look(
        view.theme.small,
        view.stage.kicker_px,
        kicker_color,
        tracking=0.2,
        lines=1,
        floor=18,
        left=look.left,
        stagger=False,
        shadow=look.shadow,
    )
    kicker = clean(kicker, upper=True)
    labels, top = under(view, title, area, look, head=view.stage.kicker_px * 2.1 if kicker else 0.0)
    above = block(kicker, area, small, view.opens, view.closes, top=top).labels if kicker else ()
    return above + labels


def under(view: SceneView, title: str, area: Rect, look: Look, *, head: float) -> tuple[tuple[Label, ...], float]:
    """A title below something `head` pixels high, both centred together in the area; and where that something begins."""
    room = Rect(area.x, area.y + head, area.width, area.height - head)
    _, px, height = measure(title, room, look)
    top = area.cy - (head + height) / 2
    labels = block(title, room, replace(look, px=px), view.opens + 0.1, view.closes, top=top + head).labels
    return labels, top


def heading(view: SceneView, shown: str) -> str:
    """The scene's headline; the product's name where it would only repeat what the scene shows anyway."""
    headline, name = view.scene.headline, view.job.product_name
    repeats = shown.strip().casefold() in headline.casefold() if shown.strip() else False
    return name if repeats or not headline else headline


def on_art(theme: Theme) -> str:
    """The text colour that reads on the theme's art."""
    return max((WHITE, theme.ink), key=lambda color: min(contrast(color, ground) for ground in theme.art))


def accent_bar(view: SceneView, labels: tuple[Label, ...]) -> tuple[Shape, ...]:
    """A short bar above a title that stands alone on art."""
    if not labels:
        return ()
    top = labels[0]
    stage = view.stage
    return (
        Shape(
            kind="line",
            x=stage.middle.cx,
            y=top.y - top.px * 0.75 - stage.kicker_px * 1.2,
            width=stage.kicker_px * 3.2,
            height=max(8.0, stage.kicker_px * 0.26),
            color=view.theme.highlight,
            start=view.opens,
            end=view.closes,
            radius=view.theme.radius * 100,
            enter="pop",
        ),
    )

"""The end card: name, button, address."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film import fonts
from pipeline.film.brand import mark
from pipeline.film.colors import on
from pipeline.film.directions import is_right_to_left
from pipeline.film.grounds import card, ground, shot
from pipeline.film.layout import Rect, clean, fit, short_address
from pipeline.film.timeline import Label, Mark, Shape
from pipeline.film.titles import heading, title_look
from pipeline.film.typeset import Look, block
from pipeline.film.views import Drawn, SceneView

DIM = 0.45


def draw(view: SceneView) -> Drawn:
    """See the module."""
    stage, theme, job = view.stage, view.theme, view.job
    name_look = replace(title_look(view, stage.headline_px * 0.74, 3), floor=34)
    name_text = clean(heading(view, job.cta_text), upper=theme.upper)
    name = block(name_text, stage.end_name, name_look, view.opens + 0.15, view.closes)
    labels, shapes = list(name.labels), []
    mirrored = stage.left and is_right_to_left(name_text)  # then everything stands under the name's right end
    marks: tuple[Mark, ...] = ()
    if view.logo:
        # It says whose film this is, in the place of the name.
        placed, _ = mark(view, view.logo, _logo_area(stage.end_name), left=stage.left, right=mirrored)
        labels, marks = [], (placed,)
    text = clean(job.cta_text, upper=theme.upper)
    if text:
        label, button = _button(view, text, mirrored=mirrored)
        labels.append(label)
        shapes += button
    if url := clean(short_address(job.url)):
        area = Rect(stage.end_name.x, stage.url_y - stage.url_px, stage.end_name.width, 2 * stage.url_px)
        url_look = Look(theme.text, stage.url_px, view.ink, lines=1, floor=22, left=stage.left, stagger=False)
        url_look = replace(url_look, shadow=name_look.shadow, right=mirrored)
        labels += block(url, area, url_look, view.opens + 0.75, view.closes).labels
    area = stage.card if stage.left else stage.end_card
    return Drawn(shot(view, ground(view, dim=DIM), card(view, area), marks), tuple(labels), tuple(shapes))


def _logo_area(area: Rect) -> Rect:
    """The middle of the name's area: a logo is looked at, not read."""
    height = min(area.height * 0.8, area.width * 0.2)
    return replace(area, y=area.cy - height / 2, height=height)


def _button(view: SceneView, text: str, *, mirrored: bool) -> tuple[Label, list[Shape]]:
    stage, theme = view.stage, view.theme
    room = Rect(0, 0, stage.end_name.width - 2.2 * stage.button_px, stage.button_height)
    condensed = fonts.same(theme.caption.face, fonts.BEBAS)
    face = theme.caption.face if condensed else theme.text
    look = Look(face, stage.button_px * (1.2 if condensed else 1.0), on(theme.accent), lines=1, floor=26)
    fitted = fit(text, look.face, room, px=look.px, floor=look.floor, lines=1)
    line = fitted.lines[0] if fitted.lines else text
    width = max(fonts.width(line, look.face, fitted.px) + 2.2 * stage.button_px, stage.button_height * 2.4)
    x = stage.end_name.x + width / 2 if stage.left else stage.end_name.cx
    if mirrored:
        x = stage.end_name.right - width / 2
    start = view.opens + 0.45
    box = Shape(
        kind="box",
        x=x,
        y=stage.button_y,
        width=width,
        height=stage.button_height,
        color=theme.accent,
        start=start,
        end=view.closes,
        radius=stage.button_height * theme.button_radius,
        enter="button",
        layer=8,
    )
    shadow = replace(
        box, y=box.y + 14, color="#000000", alpha=0.72, blur=16, layer=7, width=width - 14, enter="fade", start=start
    )
    label = Label(
        text=line,
        x=x,
        y=stage.button_y,
        px=fitted.px,
        face=look.face,
        color=look.color,
        start=start,
        end=view.closes,
        enter="button",
        layer=12,
    )
    return label, [shadow, box]

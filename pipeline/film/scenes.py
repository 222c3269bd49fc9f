"""What each kind of scene shows: its picture, its text and its shapes. One function a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline.film import fonts
from pipeline.film.grounds import artwork, card, extended, ground, shot, veil
from pipeline.film.layout import Rect, clean, fit
from pipeline.film.script import SceneKind
from pipeline.film.themes import Theme, contrast, mix, on, readable_accent
from pipeline.film.timeline import Label, Shape, Shot
from pipeline.film.typeset import Look, block, measure
from pipeline.film.views import WHITE, SceneView

FULL_RATIO = 1.36  # a taller photo would reach up behind the headline
MOST_ROWS = 5


@dataclass(frozen=True)
class Drawn:
    """One scene, drawn."""

    shot: Shot
    labels: tuple[Label, ...]
    shapes: tuple[Shape, ...] = ()
    caption_x: float = 0.0


def draw(view: SceneView) -> Drawn:
    """The scene's shot, labels and shapes."""
    return KINDS[view.scene.kind](view)


def _hero(view: SceneView) -> Drawn:
    stage, theme = view.stage, view.theme
    name = clean(view.scene.headline or view.job.product_name, upper=theme.upper)
    labels = _kicker_and_title(view, view.scene.kicker, name, stage.headline, stage.headline_px, 4)
    return Drawn(shot(view, ground(view), card(view, stage.card)), labels)


def _benefit(view: SceneView) -> Drawn:
    stage, photo = view.stage, view.photo
    headline = clean(view.scene.headline, upper=view.theme.upper)
    if view.moves:
        labels = _kicker_and_title(view, view.scene.kicker, headline, stage.headline, stage.headline_px * 0.9, 3)
        return Drawn(shot(view, ground(view), None), labels)
    if photo is None:
        color = on_art(view.theme)
        look = replace(_title_look(view, stage.middle_px, 4), color=color, left=False)
        labels = _stacked(view, view.scene.kicker, headline, stage.middle, look, mix(color, view.theme.art[0], 0.2))
        return Drawn(shot(view, artwork(view), None), labels, _accent_bar(view, labels))
    full = stage.height > stage.width and not photo.contained and 1.0 <= photo.height / photo.width <= FULL_RATIO
    if full and view.at % 2:
        look = replace(_title_look(view, stage.headline_px * 0.9, 3), color=WHITE, shadow=0.5)
        labels = _stacked(view, view.scene.kicker, headline, stage.headline, look, WHITE)
        return Drawn(shot(view, extended(view), None), labels)
    labels = _kicker_and_title(view, view.scene.kicker, headline, stage.headline, stage.headline_px * 0.86, 3)
    return Drawn(shot(view, veil(view), card(view, stage.card)), labels)


def _features(view: SceneView) -> Drawn:
    stage, theme = view.stage, view.theme
    head = clean(view.scene.headline, upper=theme.upper)
    rows = [line for line in (clean(line) for line in view.scene.lines) if line][:MOST_ROWS]
    labels = _kicker_and_title(view, view.scene.kicker, head, stage.list_head, stage.headline_px * 0.8, 3)
    plate = veil(view) if view.photo else ground(view)
    more, shapes = _rows(view, rows)
    return Drawn(shot(view, plate, None), labels + more, shapes)


def _heading(view: SceneView, shown: str) -> str:
    """The scene's headline; the product's name where it would only repeat what the scene shows anyway."""
    headline, name = view.scene.headline, view.job.product_name
    repeats = shown.strip().casefold() in headline.casefold() if shown.strip() else False
    return name if repeats or not headline else headline


def _price(view: SceneView) -> Drawn:
    stage, theme = view.stage, view.theme
    price = clean(view.job.price)
    if not price:
        return _benefit(view)
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
    look = replace(look, shadow=_title_look(view, 1, 1).shadow)
    figure = block(price, price_area, look, view.opens + 0.35, view.closes)
    head_look = replace(_title_look(view, stage.headline_px * 0.56, 2), color=color, left=left)
    head = block(clean(_heading(view, price), upper=theme.upper), head_area, head_look, view.opens + 0.1, view.closes)
    labels = head.labels + tuple(replace(label, enter="pop") for label in figure.labels)
    line = Shape(
        kind="line",
        x=figure.area.x + figure.area.width * (0.25 if left else 0.5),
        y=figure.area.bottom + figure.labels[0].px * 0.24,
        width=figure.area.width * 0.5,
        height=max(6.0, look.px * 0.035),
        color=readable_accent(theme) if photo else theme.highlight,
        start=view.opens + 0.6,
        end=view.closes,
        radius=10,
        enter="pop",
    )
    plate = ground(view) if photo else artwork(view)
    area = stage.card if stage.left else stage.end_card
    return Drawn(shot(view, plate, card(view, area) if photo else None), labels, (line,))


def _cta(view: SceneView) -> Drawn:
    stage, theme, job = view.stage, view.theme, view.job
    name_look = replace(_title_look(view, stage.headline_px * 0.74, 3), floor=34)
    name_text = clean(_heading(view, job.cta_text), upper=theme.upper)
    name = block(name_text, stage.end_name, name_look, view.opens + 0.15, view.closes)
    labels, shapes = list(name.labels), []
    text = clean(job.cta_text, upper=theme.upper)
    if text:
        label, button = _button(view, text)
        labels.append(label)
        shapes += button
    if url := clean(job.url):
        area = Rect(stage.end_name.x, stage.url_y - stage.url_px, stage.end_name.width, 2 * stage.url_px)
        url_look = Look(theme.text, stage.url_px, view.ink, lines=1, floor=22, left=stage.left, stagger=False)
        url_look = replace(url_look, shadow=name_look.shadow)
        labels += block(url, area, url_look, view.opens + 0.75, view.closes).labels
    area = stage.card if stage.left else stage.end_card
    return Drawn(shot(view, ground(view), card(view, area)), tuple(labels), tuple(shapes))


KINDS: dict[SceneKind, Callable[[SceneView], Drawn]] = {
    "hero": _hero,
    "benefit": _benefit,
    "features": _features,
    "price": _price,
    "cta": _cta,
}


def _accent_bar(view: SceneView, labels: tuple[Label, ...]) -> tuple[Shape, ...]:
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


def on_art(theme: Theme) -> str:
    """The text colour that reads on the theme's art."""
    return max((WHITE, theme.ink), key=lambda color: min(contrast(color, ground) for ground in theme.art))


def _button(view: SceneView, text: str) -> tuple[Label, list[Shape]]:
    stage, theme = view.stage, view.theme
    room = Rect(0, 0, stage.end_name.width - 2.2 * stage.button_px, stage.button_height)
    face = fonts.BEBAS if theme.caption.face is fonts.BEBAS else theme.text
    look = Look(face, stage.button_px * (1.2 if face is fonts.BEBAS else 1.0), on(theme.accent), lines=1, floor=26)
    fitted = fit(text, look.face, room, px=look.px, floor=look.floor, lines=1)
    line = fitted.lines[0] if fitted.lines else text
    width = max(fonts.width(line, look.face, fitted.px) + 2.2 * stage.button_px, stage.button_height * 2.4)
    x = stage.end_name.x + width / 2 if stage.left else stage.end_name.cx
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
    text_area = Rect(area.x + disc * 2.0, 0, area.width - disc * 2.6, height * 0.82)
    look = Look(theme.text, stage.row_px, on(theme.panel, ink=theme.ink), lines=2, floor=26, left=True, stagger=False)
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
            color=theme.panel,
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
        tick_x = area.x + disc * 1.1
        badge = replace(
            panel, x=tick_x, width=disc, height=disc, radius=disc / 2, color=theme.accent, alpha=0.0, layer=6
        )
        tick = replace(badge, kind="check", width=disc * 0.5, height=disc * 0.5, color=on(theme.accent), layer=7)
        shapes += [shade, panel, badge, tick]
        labels += block(row, replace(text_area, y=middle - text_area.height / 2), look, start, view.closes).labels
    return tuple(labels), tuple(shapes)


def _title_look(view: SceneView, px: float, lines: int) -> Look:
    theme = view.theme
    return Look(
        theme.display,
        px * theme.display_scale,
        view.ink,
        leading=theme.leading,
        tracking=-0.02 if theme.display is fonts.DISPLAY else 0.0,
        lines=lines,
        floor=40,
        left=view.stage.left,
        shadow=0.5 if view.moves else 0.0,
    )


def _kicker_and_title(view: SceneView, kicker: str, title: str, area: Rect, px: float, lines: int) -> tuple[Label, ...]:
    color = WHITE if view.moves else readable_accent(view.theme)
    return _stacked(view, kicker, title, area, _title_look(view, px, lines), color)


def _stacked(view: SceneView, kicker: str, title: str, area: Rect, look: Look, kicker_color: str) -> tuple[Label, ...]:
    """A small spaced line above a title, both centred together in the area."""
    small = Look(
        fonts.TEXT,
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
    head = view.stage.kicker_px * 2.1 if kicker else 0.0
    room = Rect(area.x, area.y + head, area.width, area.height - head)
    _, px, height = measure(title, room, look)
    top = area.cy - (head + height) / 2
    labels: tuple[Label, ...] = ()
    if kicker:
        labels = block(kicker, area, small, view.opens, view.closes, top=top).labels
    return labels + block(title, room, replace(look, px=px), view.opens + 0.1, view.closes, top=top + head).labels

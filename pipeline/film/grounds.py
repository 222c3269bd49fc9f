"""What stands behind a scene's text: the plate that fills the frame, the card before it, and how both move."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.captions import ground_of
from pipeline.film.colors import luminance
from pipeline.film.fonts import monogram_of
from pipeline.film.layout import Rect, clean, even
from pipeline.film.timeline import Mark, Picture, Plate, Shot, Sprite
from pipeline.film.views import Extract, SceneView

PLATE_SCALE = 1.12  # plates are larger than the frame, so that a zoom never shows their edge
CARD_ZOOM, PLATE_ZOOM = (1.0, 1.06), (1.0, 1.08)
CARD_SHRUNK = 0.85  # at most so small, to stand above the captions
CAPTION_GAP = 0.019  # between a card and the captions, of the frame's height
CROP_KEPT = 0.9  # of a photo's shorter way, at least, is seen on a card


def shot(view: SceneView, plate: Plate, sprite: Sprite | None, marks: tuple[Mark, ...] = ()) -> Shot:
    """The scene's picture in its time; a clip moves by itself, and has no card."""
    # Every other scene zooms out instead of in, so that the film breathes.
    if plate.picture.treatment == "clip":
        sprite = None
    elif sprite is not None:
        plate = replace(plate, zoom=CARD_ZOOM)
    elif view.at % 2:
        plate = replace(plate, zoom=(plate.zoom[1], plate.zoom[0]))
    return Shot(view.at, view.frames[0], view.frames[1], plate, sprite, marks)


def _size(view: SceneView, scale: float) -> tuple[int, int]:
    return (even(view.stage.width * scale), even(view.stage.height * scale))


def _raster(view: SceneView, treatment: str, scale: float) -> Picture:
    width, height = _size(view, scale)
    extract = view.extract
    return Picture(
        treatment=treatment,  # type: ignore[arg-type]
        width=width,
        height=height,
        path=extract.path if extract else "",
        colors=view.theme.background,
        seed=view.job.seed,
        contain=bool(extract and extract.contained),
    )


def ground(view: SceneView, *, dim: float = 0.0) -> Plate:
    """The theme's soft gradient; the focus wanders from scene to scene so that it always moves a little.

    Or the clip, which steps back by `dim` (a share) where text stands in the middle of the frame.
    """
    if view.moves:
        return Plate(replace(_raster(view, "clip", 1.0), dim=dim), (1.0, 1.0))
    picture = replace(_raster(view, "mesh", PLATE_SCALE), path="", seed=view.job.seed * 31 + view.at, contain=False)
    return Plate(picture, (1.0, 1.12), (float(view.at % 2), 0.0))


def veil(view: SceneView) -> Plate:
    """The photo, blurred and pale behind what stands before it."""
    return Plate(_raster(view, "veil", PLATE_SCALE), (1.0, 1.12), (float(view.at % 2), 0.0))


def extended(view: SceneView) -> Plate:
    """The photo at the bottom of the frame, its own colours growing above it."""
    return Plate(_raster(view, "extend", PLATE_SCALE), PLATE_ZOOM, (0.5, 0.8))


def artwork(view: SceneView, *, dim: float = 0.0) -> Plate:
    """Generated art; or the clip."""
    if view.moves:
        return ground(view, dim=dim)
    own = view.extract.path if view.extract and view.extract.source == "art" else ""
    picture = replace(
        _raster(view, "art", PLATE_SCALE),
        path=own,
        colors=view.theme.art,
        seed=view.job.seed * 31 + view.at,
        ornament=view.theme.ornament,
        contain=False,
    )
    return Plate(picture, (1.0, 1.1), (0.5, 0.35))


def card(view: SceneView, area: Rect, *, closer: bool = False) -> Sprite:
    """The product's card; without a photo it carries generated art and the product's first letter.

    `closer`: a photo that is shown again is cropped tighter each time.
    """
    theme = view.theme
    photo = view.photo
    own = photo or view.extract
    if photo:
        area = _above_captions(view, area, area if photo.contained else _shaped(area, photo))
    letter, face = monogram_of(clean(view.job.product_name, upper=True), theme.display)
    picture = Picture(
        treatment="card",
        width=even(area.width),
        height=even(area.height),
        path=own.path if own else "",
        # A cut-out on a dark theme stands on its art: on the background itself it would drown.
        colors=theme.art if photo is None or luminance(theme.background[0]) < 0.4 else theme.background,
        seed=view.job.seed,
        radius=round(theme.radius * 860 * (area.width / 860) ** 0.5, 1),
        closeness=1.0 + 0.22 * (view.repeat % 3) if closer else 1.0,
        monogram="" if photo else letter,
        middle=0.5 if photo else _monogram_middle(view, area),
        face=None if photo else face,
        ornament=None if photo else theme.ornament,
        contain=bool(photo and photo.contained),
    )
    return Sprite(picture, (area.cx, area.cy), 130.0 * view.stage.height / 1920)


def _above_captions(view: SceneView, room: Rect, area: Rect) -> Rect:
    """The area moved up, or made a little smaller, where the captions would stand on its lower edge or on a cut-out's foot.

    A tall photo goes on behind them.
    """
    reach = _caption_reach(view)
    grown = area.height * (CARD_ZOOM[1] - CARD_ZOOM[0]) / 2
    lowest = view.stage.caption_y - reach - grown
    whole = view.photo is not None and view.photo.contained
    if area.bottom <= lowest or (area.bottom + grown > view.stage.caption_y + reach and not whole):
        return area
    height = min(area.height, lowest - room.y)
    if whole:
        return Rect(area.x, lowest - height, area.width, height)
    scale = height / area.height
    if scale < CARD_SHRUNK:
        return area
    width = area.width * scale
    return Rect(area.cx - width / 2, lowest - height, width, height)


def _caption_reach(view: SceneView) -> float:
    """How far above and below their middle nothing should end where captions stand, in pixels."""
    _, tall = ground_of(view.theme.caption, 0.0, view.theme.caption.px * view.stage.caption_scale)
    return tall / 2 + CAPTION_GAP * view.stage.height


def _monogram_middle(view: SceneView, area: Rect) -> float:
    """Where a monogram stands on its card, a share of the height: in the middle of what the captions leave of it."""
    lowest = view.stage.caption_y - _caption_reach(view)
    return round((lowest - area.y) / area.height / 2, 3) if area.cy < lowest < area.bottom else 0.5


def _shaped(area: Rect, extract: Extract) -> Rect:
    """The largest part of the area with nearly the photo's own shape: a card that crops would cut the product."""
    own = extract.width / extract.height
    ratio = min(max(area.width / area.height, own * CROP_KEPT), own / CROP_KEPT)
    width = min(area.width, area.height * ratio)
    height = min(area.height, area.width / ratio)
    return Rect(area.cx - width / 2, area.cy - height / 2, width, height)

"""Picture -> planes: every raster of the film, made when its shot begins.

Runs in the child only.
"""

from __future__ import annotations

import ctypes
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pipeline.film import art
from pipeline.film.art import Grain, Pixels, strips
from pipeline.film.colors import luminance
from pipeline.film.layout import contained_scale, even
from pipeline.film.planes import Bytes, Planes, Rows, premultiplied, soft_planes, to_planes
from pipeline.film.theme import Theme
from pipeline.film.timeline import Picture

PHOTO_NOISE = 0.6
INK = "#15191D"
CARD_SCALE = 1.12  # the plates' own, so that a card can be laid on its plate pixel by pixel
VEIL_LIGHT, VEIL_DARK = 0.76, 0.9  # less left a ghost of the product, or grey fog on a dark ground
SHADOW_BLUR, SHADOW_DROP, SHADOW_ALPHA, CARD_MARGIN = 26, 18, 0.34, 76


@dataclass(frozen=True)
class CardPlanes:
    """A card with its shadow: premultiplied planes, alpha at both sizes, and the rectangle that is fully opaque.

    `inner` is x0, y0, x1, y1 in raster pixels; the raster has CARD_SCALE pixels for each of the frame's.
    """

    planes: Planes
    alpha: Bytes
    alpha_half: Bytes
    inner: tuple[int, int, int, int]


def give_back_memory() -> None:
    """Return freed memory to the system: glibc would keep it, beside the encoder's."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def plate(picture: Picture, theme: Theme) -> Planes:
    """A picture that fills the frame."""
    width, height = picture.width, picture.height
    noise = PHOTO_NOISE
    match picture.treatment:
        case "mesh" | "veil":
            return soft_planes(_veil(picture), width, height, picture.seed)
        case "art":
            rows, noise = _rows(_art(picture, theme)), art.NOISE
        case "extend":
            rows = _extended(picture)
        case _:
            rows = _rows(_rgb(_cover(_open(picture.path), width, height, 1.0)))
    return to_planes(rows, width, height, noise, picture.seed)


def card(picture: Picture, theme: Theme) -> CardPlanes:
    """A rounded card with its shadow, from a photo or as art with a monogram."""
    scale = CARD_SCALE
    width, height = (round(side * scale / 4) * 4 for side in (picture.width, picture.height))
    margin, radius = even(CARD_MARGIN * scale), picture.radius * scale
    face = _rows(_face(picture, theme, width, height))
    full = (width + 2 * margin, height + 2 * margin)
    mask = Image.new("L", full)
    mask.paste(rounded(width, height, radius), (margin, margin))
    covers, shades = _rows(np.asarray(mask)), _rows(np.asarray(_shadow(mask, scale)))
    grain, faded = Grain(*full, picture.seed), _edge_fade(*full, margin)

    def rows(span: slice) -> tuple[Pixels, Pixels, Pixels]:
        cover = covers(span) / np.float32(255)
        # The blur's tail is cut to nothing at the edge, so that no faint rectangle shows around the shadow.
        shadow = shades(span) / np.float32(255) * np.float32(SHADOW_ALPHA) * faded(span)
        pixels = np.zeros((*cover.shape, 3), np.float32)
        first, last = (min(max(row - margin, 0), height) for row in (span.start, span.stop))
        inside = slice(first + margin - span.start, last + margin - span.start)
        pixels[inside, margin : margin + width] = face(slice(first, last))
        pixels *= cover[..., None]
        return pixels, cover + shadow * (1 - cover), grain.rows(span) * cover * np.float32(PHOTO_NOISE)

    planes, alpha, alpha_half = premultiplied(rows, full[1])
    # Inside the corners' inscribed square everything is opaque and needs no blending.
    inset = margin + math.ceil(radius * (1 - math.sqrt(0.5))) + 2
    return CardPlanes(planes, alpha, alpha_half, (inset, inset, full[0] - inset, full[1] - inset))


def _shadow(mask: Image.Image, scale: float) -> Image.Image:
    """What a card throws below itself, so soft that nothing is lost at a quarter of the size."""
    shade = Image.new("L", mask.size)
    shade.paste(mask, (0, round(SHADOW_DROP * scale)))
    small = shade.reduce(4).filter(ImageFilter.GaussianBlur(SHADOW_BLUR * scale / 4))
    return small.resize(mask.size, Image.Resampling.BICUBIC)


def _edge_fade(width: int, height: int, margin: int) -> Rows:
    """From 0 at the edges to 1, inside the margin."""

    def ramp(length: int) -> Pixels:
        near = np.minimum(np.arange(length), np.arange(length)[::-1]).astype(np.float32)
        return np.asarray(np.clip(near / (margin * 0.4), 0, 1), np.float32)

    down, across = ramp(height), ramp(width)
    return lambda span: np.asarray(np.minimum.outer(down[span], across), np.float32)


def rounded(width: int, height: int, radius: float, finer: int = 2) -> Image.Image:
    """The mask of a rounded rectangle, drawn `finer` times larger."""
    mask = Image.new("L", (width * finer, height * finer))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width * finer - 1, height * finer - 1), radius * finer, fill=255)
    return mask.reduce(finer)


def _face(picture: Picture, theme: Theme, width: int, height: int) -> Pixels | Bytes:
    if picture.monogram and picture.face:
        pixels = np.asarray(_art(replace(picture, width=width, height=height), theme), np.float32)
        disc = theme.accent if theme.name != "minimal" else "#F4EFE8"
        ink = theme.ink if luminance(theme.ink) < 0.4 else INK
        art.monogram(pixels, picture.monogram, picture.face, ink, disc, picture.middle)
        return art.dither(pixels, picture.seed)
    photo = _open(picture.path)
    if picture.contain:
        return _contained(photo, width, height, picture)
    return _rgb(_cover(photo, width, height, picture.closeness))


def _art(picture: Picture, theme: Theme) -> Pixels | Bytes:
    if picture.path:
        return _rgb(_cover(_open(picture.path), picture.width, picture.height, 1.0))
    return art.compose(picture.width, picture.height, picture.colors, picture.ornament, picture.seed, theme.highlight)


def _open(path: str) -> Image.Image:
    """A picture for reading alone: a scene's plate and its card show the same, and it is decoded once."""
    facts = Path(path).stat()
    return _decoded(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=1)
def _decoded(path: str, _changed: int, _size: int) -> Image.Image:
    with Image.open(path, formats=("PNG", "JPEG")) as opened:
        opened.load()
        return opened if opened.mode in ("RGB", "RGBA") else opened.convert("RGB")


def _rgb(image: Image.Image) -> Bytes:
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _rows(pixels: Pixels | Bytes) -> Rows:
    """A picture's rows as floats."""
    return lambda span: np.asarray(pixels[span], np.float32)


def _cover(image: Image.Image, width: int, height: int, closeness: float) -> Image.Image:
    """The picture cropped to the area's shape around its middle, `closeness` times nearer."""
    scale = max(width / image.width, height / image.height) * closeness
    wide, high = width / scale, height / scale
    x, y = max(0.0, (image.width - wide) / 2), max(0.0, (image.height - high) / 2)
    box = (x, y, min(image.width, x + wide), min(image.height, y + high))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)


def _blurred(image: Image.Image, width: int, height: int, radius: float) -> Pixels:
    """The picture blurred beyond recognition, covering the area, at a tenth of the size."""
    small = _cover(_flat(image, "#FFFFFF"), max(2, width // art.MESH_SHRINK), max(2, height // art.MESH_SHRINK), 1.0)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(radius / art.MESH_SHRINK)), np.float32)


def _flat(image: Image.Image, color: str) -> Image.Image:
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, art.rgb(color))
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _veil(picture: Picture) -> Pixels:
    """The theme's ground, with a trace of the photo's own blur where there is one, at a tenth of the size."""
    width, height = picture.width, picture.height
    ground = art.small_mesh(width, height, picture.colors, picture.seed)
    if picture.path:
        photo = _flat(_open(picture.path), picture.colors[0])
        share = VEIL_LIGHT if luminance(picture.colors[0]) > 0.4 else VEIL_DARK
        ground += (_blurred(photo, width, height, 130) - ground) * np.float32(1 - share)
    return ground


def _contained(image: Image.Image, width: int, height: int, picture: Picture) -> Pixels:
    """The whole picture on a ground: a cut-out on the theme's colours, a small or extreme one on its own blur."""
    if image.mode == "RGBA":
        image = image.crop(image.getchannel("A").getbbox())
        ground = _stage_light(width, height, picture)
    else:
        ground = art.enlarge(_blurred(image, width, height, 110), width, height)
        color = np.array(art.rgb(picture.colors[0]), np.float32)
        for span in strips(height):
            ground[span] += (color - ground[span]) * np.float32(0.35)
    scale = contained_scale(width, height, image.size, cutout=image.mode == "RGBA")
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    part = ground[y : y + size[1], x : x + size[0]]
    if image.mode == "RGBA":
        _drop_shadow(ground, small, x, y)
        cover = np.asarray(small.getchannel("A"))
    else:
        cover = np.full(size[::-1], 255, np.uint8)
    shown, covers = _rows(_rgb(small)), _rows(cover)
    for span in strips(size[1]):
        part[span] += (shown(span) - part[span]) * (covers(span)[..., None] / np.float32(255))
    return art.dither(ground, picture.seed, PHOTO_NOISE)


def _stage_light(width: int, height: int, picture: Picture) -> Pixels:
    """The ground of a cut-out: the theme's colours with a light behind the product, also on a dark theme."""
    ground = art.mesh(width, height, (*picture.colors[1:], picture.colors[0]), picture.seed)
    ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    for span in strips(height):
        glow = np.exp(-(((xs - width / 2) / width) ** 2 + ((ys[span] - height * 0.46) / height) ** 2) / 0.09)[..., None]
        ground[span] += (255 - ground[span]) * glow * np.float32(0.4)
    return ground


def _drop_shadow(ground: Pixels, cutout: Image.Image, x: int, y: int) -> None:
    height, width = ground.shape[:2]
    shade = Image.new("L", (width // 4, height // 4))
    shade.paste(
        cutout.getchannel("A").resize((max(1, cutout.width // 4), max(1, cutout.height // 4))), (x // 4, y // 4 + 7)
    )
    shade = shade.filter(ImageFilter.GaussianBlur(9)).resize((width, height), Image.Resampling.BICUBIC)
    shades = _rows(np.asarray(shade))
    for span in strips(height):
        ground[span] *= (1 - shades(span) * np.float32(0.3 / 255))[..., None]


def _extended(picture: Picture) -> Rows:
    """A portrait photo fitted to the width and set at the bottom; above it its own top edge grows, blurred.

    Nothing is cropped, the headline gets calm ground, and scrims keep white text readable above and below.
    """
    width, height = picture.width, picture.height
    photo = _flat(_open(picture.path), "#FFFFFF")
    high = min(height, round(width * photo.height / photo.width))
    crop = photo.height if high < height else photo.width * height / width
    body = photo.resize(
        (width, high),
        Image.Resampling.LANCZOS,
        box=(0, photo.height - crop, photo.width, photo.height),
        reducing_gap=2.0,
    )
    top, seam = height - high, high // 8 if high < height else 0
    grown = _grown(body, width, top + seam)
    ramp = np.linspace(1, 0, seam, dtype=np.float32)[:, None, None] ** 1.5
    share = np.arange(height, dtype=np.float32) / height
    upper = 0.55 * np.clip(1 - share / 0.5, 0, 1) ** 1.1
    lower = 0.5 * np.clip((share - 0.62) / 0.38, 0, 1)
    light, shown = 1 - np.maximum(upper, lower), _rows(np.asarray(body))

    def rows(span: slice) -> Pixels:
        above, inside = (slice(max(span.start - at, 0), max(span.stop - at, 0)) for at in (0, top))
        pixels = np.concatenate((grown[above.start : min(above.stop, top)], shown(inside)))
        mixed = slice(inside.start, min(inside.stop, seam))
        if mixed.stop > mixed.start:
            part = pixels[top + mixed.start - span.start : top + mixed.stop - span.start]
            part += (grown[top + mixed.start : top + mixed.stop] - part) * ramp[mixed]
        pixels *= light[span, None, None]
        return pixels

    return rows


def _grown(body: Image.Image, width: int, height: int) -> Pixels:
    """The top edge of a photo, blurred, so far up."""
    if not height:
        return np.empty((0, width, 3), np.float32)
    strip = body.crop((0, 0, width, max(2, body.height // 24))).resize((24, 2), Image.Resampling.BOX)
    strip = strip.filter(ImageFilter.GaussianBlur(1.5)).crop((0, 0, 24, 1)).resize((24, 2))
    return art.enlarge(np.asarray(strip, np.float32), width, height)

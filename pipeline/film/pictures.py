"""Picture -> planes: every raster of the film as limited-range BT.709 planes, made once before the first frame.

Runs in the child only.
"""

from __future__ import annotations

import ctypes
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipeline.film import art
from pipeline.film.art import Pixels
from pipeline.film.colors import luminance
from pipeline.film.layout import contained_scale, even
from pipeline.film.theme import Theme
from pipeline.film.timeline import Picture

Bytes = NDArray[np.uint8]

PHOTO_NOISE = 0.6
INK = "#15191D"
RED, GREEN, BLUE = np.float32(0.2126), np.float32(0.7152), np.float32(0.0722)  # BT.709
U_SCALE, V_SCALE = np.float32(224 / 255 / 1.8556), np.float32(224 / 255 / 1.5748)
CARD_SCALE = 1.12  # the plates' own, so that a card can be laid on its plate pixel by pixel
VEIL_LIGHT, VEIL_DARK = 0.76, 0.9  # less left a ghost of the product, or grey fog on a dark ground
SHADOW_BLUR, SHADOW_DROP, SHADOW_ALPHA, CARD_MARGIN = 26, 18, 0.34, 76


@dataclass(frozen=True)
class Planes:
    """One picture as Y, U and V; U and V have half the size (all sizes even)."""

    y: Bytes
    u: Bytes
    v: Bytes


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


def to_planes(pixels: Pixels, noise: float, seed: int) -> Planes:
    """RGB (0..255) to limited-range BT.709; `noise` dithers the luma."""
    luma = _luma(pixels)
    small, red, blue = _quarter(luma), _quarter(pixels[..., 0]), _quarter(pixels[..., 2])
    y, u, v = _scaled(luma), 128 + (blue - small) * U_SCALE, 128 + (red - small) * V_SCALE
    return Planes(*(_bytes(plane) for plane in (_noisy(y, noise, seed), u, v)))


def soft_planes(small: Pixels, width: int, height: int, seed: int) -> Planes:
    """A soft picture given at a tenth of its size: converted there, and only then made large."""
    luma = _luma(small)
    u = 128 + (small[..., 2] - luma) * U_SCALE
    v = 128 + (small[..., 0] - luma) * V_SCALE
    y = _noisy(art.enlarge_plane(_scaled(luma), width, height).copy(), art.NOISE, seed)
    half = (width // 2, height // 2)
    return Planes(_bytes(y), _bytes(art.enlarge_plane(u, *half)), _bytes(art.enlarge_plane(v, *half)))


def to_image(planes: Planes) -> Image.Image:
    """Planes as an RGB picture."""
    u, v = (np.repeat(np.repeat(plane, 2, 0), 2, 1).astype(np.float32) - 128 for plane in (planes.u, planes.v))
    luma = (planes.y.astype(np.float32) - 16) * np.float32(255 / 219)
    blue, red = luma + u / U_SCALE, luma + v / V_SCALE
    green = (luma - RED * red - BLUE * blue) / GREEN
    return Image.fromarray(np.clip(np.dstack((red, green, blue)) + 0.5, 0, 255).astype(np.uint8))


def _luma(pixels: Pixels) -> Pixels:
    return np.asarray(pixels[..., 0] * RED + pixels[..., 1] * GREEN + pixels[..., 2] * BLUE, np.float32)


def _scaled(luma: Pixels) -> Pixels:
    return luma * np.float32(219 / 255) + np.float32(16)


def _noisy(y: Pixels, noise: float, seed: int) -> Pixels:
    y += art.noise(y.shape, seed) * np.float32(noise)
    return y


def _quarter(plane: Pixels) -> Pixels:
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _bytes(plane: Pixels) -> Bytes:
    return np.ascontiguousarray(np.clip(plane + np.float32(0.5), 0, 255).astype(np.uint8))


def plate(picture: Picture, theme: Theme) -> Planes:
    """A picture that fills the frame."""
    width, height = picture.width, picture.height
    noise = art.NOISE
    match picture.treatment:
        case "mesh" | "veil":
            return soft_planes(_veil(picture), width, height, picture.seed)
        case "art":
            pixels = _art(picture, theme)
        case "extend":
            pixels, noise = _extend(picture), PHOTO_NOISE
        case _:
            pixels, noise = _floats(_cover(_open(picture.path), width, height, 1.0)), PHOTO_NOISE
    return to_planes(pixels, noise, picture.seed)


def card(picture: Picture, theme: Theme) -> CardPlanes:
    """A rounded card with its shadow, from a photo or as art with a monogram."""
    scale = CARD_SCALE
    width, height = (round(side * scale / 4) * 4 for side in (picture.width, picture.height))
    margin, radius = even(CARD_MARGIN * scale), picture.radius * scale
    face = _face(picture, theme, width, height)
    full = (width + 2 * margin, height + 2 * margin)
    mask = rounded(width, height, radius)
    shade = Image.new("L", full)
    shade.paste(mask, (margin, margin + round(SHADOW_DROP * scale)))
    # So soft that nothing is lost at a quarter of the size.
    small = shade.reduce(4).filter(ImageFilter.GaussianBlur(SHADOW_BLUR * scale / 4))
    shadow = np.asarray(small.resize(full, Image.Resampling.BICUBIC), np.float32) / 255 * SHADOW_ALPHA
    # The blur's tail is cut to nothing at the edge, so that no faint rectangle shows around the shadow.
    shadow *= _edge_fade(full[0], full[1], margin)
    cover = np.zeros((full[1], full[0]), np.float32)
    cover[margin : margin + height, margin : margin + width] = np.asarray(mask, np.float32) / 255
    alpha = np.asarray(cover + shadow * (1 - cover), np.float32)
    pixels = np.zeros((full[1], full[0], 3), np.float32)
    pixels[margin : margin + height, margin : margin + width] = face
    pixels *= cover[..., None]
    return _premultiplied(pixels, alpha, cover, margin, radius, picture)


def _premultiplied(
    pixels: Pixels, alpha: Pixels, cover: Pixels, margin: int, radius: float, picture: Picture
) -> CardPlanes:
    noise = art.noise(alpha.shape, picture.seed)
    planes, full, half = premultiplied_planes(pixels, alpha, noise * cover * np.float32(PHOTO_NOISE))
    # Inside the corners' inscribed square everything is opaque and needs no blending.
    inset = margin + math.ceil(radius * (1 - math.sqrt(0.5))) + 2
    height, width = alpha.shape
    return CardPlanes(planes, full, half, (inset, inset, width - inset, height - inset))


def premultiplied_planes(pixels: Pixels, alpha: Pixels, noise: Pixels | None = None) -> tuple[Planes, Bytes, Bytes]:
    """Planes of premultiplied RGB (0..255), and alpha (0..1) as bytes at both sizes; all sides even."""
    # In limited-range YUV black is (16, 128, 128), so the offsets are weighted by alpha.
    luma = _luma(pixels)
    y = 16 * alpha + luma * np.float32(219 / 255)
    if noise is not None:
        y += noise
    half, small = _quarter(alpha), _quarter(luma)
    u = 128 * half + (_quarter(pixels[..., 2]) - small) * U_SCALE
    v = 128 * half + (_quarter(pixels[..., 0]) - small) * V_SCALE
    return Planes(*(_bytes(plane) for plane in (y, u, v))), _bytes(alpha * 255), _bytes(half * 255)


def _edge_fade(width: int, height: int, margin: int) -> Pixels:
    def ramp(length: int) -> Pixels:
        near = np.minimum(np.arange(length), np.arange(length)[::-1]).astype(np.float32)
        return np.asarray(np.clip(near / (margin * 0.4), 0, 1), np.float32)

    return np.asarray(np.minimum.outer(ramp(height), ramp(width)), np.float32)


def rounded(width: int, height: int, radius: float, finer: int = 2) -> Image.Image:
    """The mask of a rounded rectangle, drawn `finer` times larger."""
    mask = Image.new("L", (width * finer, height * finer))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width * finer - 1, height * finer - 1), radius * finer, fill=255)
    return mask.reduce(finer)


def _face(picture: Picture, theme: Theme, width: int, height: int) -> Pixels:
    if picture.monogram and picture.face:
        pixels = _art(Picture(**{**picture.__dict__, "width": width, "height": height}), theme)
        disc = theme.accent if theme.name != "minimal" else "#F4EFE8"
        ink = theme.ink if luminance(theme.ink) < 0.4 else INK
        art.monogram(pixels, picture.monogram, picture.face, ink, disc, picture.middle)
        return art.dither(pixels, picture.seed)
    photo = _open(picture.path)
    if picture.contain:
        return _contained(photo, width, height, picture)
    return _floats(_cover(photo, width, height, picture.closeness))


def _art(picture: Picture, theme: Theme) -> Pixels:
    if picture.path:
        return _floats(_cover(_open(picture.path).convert("RGB"), picture.width, picture.height, 1.0))
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


def _floats(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), np.float32).copy()


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
        ground += (np.array(art.rgb(picture.colors[0]), np.float32) - ground) * np.float32(0.35)
    scale = contained_scale(width, height, image.size, cutout=image.mode == "RGBA")
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    part = ground[y : y + size[1], x : x + size[0]]
    if image.mode == "RGBA":
        _drop_shadow(ground, small, x, y)
        cover = np.asarray(small.getchannel("A"), np.float32)[..., None] / np.float32(255)
    else:
        cover = np.ones((1, 1, 1), np.float32)
    part += (_floats(small) - part) * cover
    return art.dither(ground, picture.seed, PHOTO_NOISE)


def _stage_light(width: int, height: int, picture: Picture) -> Pixels:
    """The ground of a cut-out: the theme's colours with a light behind the product, also on a dark theme."""
    ground = art.mesh(width, height, (*picture.colors[1:], picture.colors[0]), picture.seed)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    glow = np.exp(-(((xs - width / 2) / width) ** 2 + ((ys - height * 0.46) / height) ** 2) / 0.09)[..., None]
    ground += (255 - ground) * glow * np.float32(0.4)
    return ground


def _drop_shadow(ground: Pixels, cutout: Image.Image, x: int, y: int) -> None:
    height, width = ground.shape[:2]
    shade = Image.new("L", (width // 4, height // 4))
    shade.paste(
        cutout.getchannel("A").resize((max(1, cutout.width // 4), max(1, cutout.height // 4))), (x // 4, y // 4 + 7)
    )
    shade = shade.filter(ImageFilter.GaussianBlur(9)).resize((width, height), Image.Resampling.BICUBIC)
    ground *= (1 - np.asarray(shade, np.float32) * np.float32(0.3 / 255))[..., None]


def _extend(picture: Picture) -> Pixels:
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
    pixels = np.empty((height, width, 3), np.float32)
    top = height - high
    pixels[top:] = np.asarray(body, np.float32)
    if top:
        strip = body.crop((0, 0, width, max(2, high // 24))).resize((24, 2), Image.Resampling.BOX)
        strip = strip.filter(ImageFilter.GaussianBlur(1.5)).crop((0, 0, 24, 1)).resize((24, 2))
        grown = art.enlarge(np.asarray(strip, np.float32), width, top + high // 8)
        pixels[:top] = grown[:top]
        seam = high // 8
        ramp = np.linspace(1, 0, seam, dtype=np.float32)[:, None, None] ** 1.5
        pixels[top : top + seam] += (grown[top:] - pixels[top : top + seam]) * ramp
    share = np.arange(height, dtype=np.float32) / height
    upper = 0.55 * np.clip(1 - share / 0.5, 0, 1) ** 1.1
    lower = 0.5 * np.clip((share - 0.62) / 0.38, 0, 1)
    pixels *= (1 - np.maximum(upper, lower))[:, None, None]
    return pixels

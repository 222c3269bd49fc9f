"""Pictures of users: looked at, refused in one sentence, or loaded as plain RGB(A) of a sane size.

Nothing but Pillow ever opens them (HEIC by libheif under it), only five formats are tried, and every cap is checked
before pixels are decoded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import InvalidInput, TooLarge, Unsupported
from pipeline.film.kinds import MOST_PICTURE_BYTES

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF")
MOST_BYTES, MOST_PIXELS = MOST_PICTURE_BYTES, 150_000_000
# Above this many pixels a picture that cannot be decoded at a lower scale is only verified at the door.
DOOR_PIXELS = 40_000_000
LEAST_SIDE, LONGEST_SIDE = 64, 2600
MOST_RATIO = 20.0
SEEN_ALPHA = 8  # of 255


@dataclass(frozen=True)
class ImageFacts:
    """A usable picture: its format, its size in pixels as it is shown (EXIF turned), alpha, and size in bytes."""

    format: str
    width: int
    height: int
    alpha: bool
    size: int


def inspect_image(source: Path | bytes, name: str = "") -> ImageFacts:
    """The facts of a picture, or InvalidInput, Unsupported or TooLarge with one sentence that names the file."""
    name = name or (source.name if isinstance(source, Path) else "the picture")
    content = _content(source, name)
    picture = _open(content, name)
    whole = _decodable(content, name)
    if whole is not None and _has_alpha(whole):
        _least_alpha(whole.convert("RGBA"), name)
    width, height = picture.size
    # Of formats that keep EXIF behind their pixels, only JPEG can tell its turn without decoding them.
    if picture.format == "JPEG" and picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):
        width, height = height, width
    return ImageFacts(str(picture.format), width, height, _has_alpha(picture), len(content))


def load_image(source: Path | bytes, name: str = "", *, longest: int = LONGEST_SIDE) -> Any:
    """A picture as a PIL image: RGB or RGBA, upright, first frame, at most `longest` pixels on its longer side."""
    from PIL import Image, ImageOps

    name = name or (source.name if isinstance(source, Path) else "the picture")
    picture = _open(_content(source, name), name)
    try:
        if picture.format == "JPEG":
            picture.draft("RGB", (longest, longest))
        picture.load()
        alpha = _has_alpha(picture)
        if picture.mode.startswith("I") or picture.mode == "F":
            picture = _from_deep(picture)
        if picture.mode == "CMYK":
            picture = _in_srgb(picture)
        if picture.mode not in ("RGB", "RGBA"):
            picture = picture.convert("RGBA" if alpha else "RGB")
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
        picture = _in_srgb(ImageOps.exif_transpose(picture))
    except MemoryError as error:
        raise TooLarge(f"{name} needs more memory to decode than this machine gives.") from error
    except Exception as error:
        raise InvalidInput(f"{name} is damaged: its picture cannot be decoded.") from error
    if alpha and _least_alpha(picture, name) == 255:
        picture = picture.convert("RGB")
    return picture


def _least_alpha(picture: Any, name: str) -> int:
    """The alpha of its clearest pixel, 0 to 255; InvalidInput when nothing of it would be seen."""
    clearest, densest = picture.getchannel("A").getextrema()
    if densest < SEEN_ALPHA:
        raise InvalidInput(f"{name} is transparent all over: nothing of it would be seen.")
    return int(clearest)


def _in_srgb(picture: Any) -> Any:
    """The picture's colours as a screen shows them; one whose profile is missing or broken stays as it is."""
    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    plain = picture.convert("RGB") if alpha else picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    if shown is None:
        return picture
    if alpha:
        shown.putalpha(alpha)
    shown.info.pop("icc_profile", None)
    return shown


def _content(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        content = source
    else:
        try:
            if source.stat().st_size > MOST_BYTES:
                raise TooLarge(
                    f"{name} has {source.stat().st_size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are taken."
                )
            content = source.read_bytes()
        except OSError as error:
            raise InvalidInput(f"{name} cannot be read: {error.strerror or error}.") from error
    if not content:
        raise InvalidInput(f"{name} is empty.")
    if len(content) > MOST_BYTES:
        raise TooLarge(f"{name} has {len(content) / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are taken.")
    return content


def _open(content: bytes, name: str) -> Any:
    import pi_heif
    from PIL import Image, UnidentifiedImageError

    pi_heif.register_heif_opener(thumbnails=False)
    # Our own caps come from the header, before any pixel; Pillow's warning would only repeat them.
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unsupported(f"{name} is not a JPEG, PNG, WebP, GIF or HEIC picture.") from error
    except Image.DecompressionBombError as error:
        raise TooLarge(f"{name} has more than {MOST_PIXELS // 1_000_000} megapixels.") from error
    except Exception as error:
        raise InvalidInput(f"{name} is damaged: its header cannot be read.") from error
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise TooLarge(
            f"{name} has {width * height / 1e6:.0f} megapixels; at most {MOST_PIXELS // 1_000_000} are taken."
        )
    if min(width, height) < LEAST_SIDE:
        raise InvalidInput(f"{name} is {width}x{height} pixels; each side needs at least {LEAST_SIDE}.")
    if max(width, height) / min(width, height) > MOST_RATIO:
        raise InvalidInput(
            f"{name} is {width}x{height} pixels; a side may be at most {MOST_RATIO:.0f} times the other."
        )
    return picture


def _decodable(content: bytes, name: str) -> Any:
    """The picture with its pixels, where it is decoded at the door; damaged ones are refused."""
    picture = _open(content, name)
    try:
        if picture.format == "JPEG":
            picture.draft("RGB", (256, 256))
            picture.load()
        elif picture.format == "HEIF":
            return None  # its pixels are decoded in a child only
        elif picture.size[0] * picture.size[1] <= DOOR_PIXELS:
            picture.load()
            return picture
        else:
            picture.verify()
    except MemoryError as error:
        raise TooLarge(f"{name} needs more memory to decode than this machine gives.") from error
    except Exception as error:
        raise InvalidInput(f"{name} is damaged: its picture cannot be decoded.") from error
    return None


def _has_alpha(picture: Any) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info


def _from_deep(picture: Any) -> Any:
    """16 and 32 bit grey to 8 bit: Pillow's own conversion clips instead of scaling."""
    low, high = picture.convert("F").getextrema()
    top = 65535.0 if high > 255 else 255.0
    return picture.convert("F").point(lambda value: value * (255.0 / top) + 0.0 * low).convert("L")

"""What Replicate's models make of an input, what they want in it, and what they cost."""

from __future__ import annotations

import base64
import re
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tests.stub import media

Makes = Literal["clip", "picture", "larger", "cut_out"]
IMAGES = ("image", "start_image", "first_frame_image", "input_image", "image_input", "image_url", "images")
SIDES = {"480p": 480, "512p": 512, "540p": 540, "720p": 720, "768p": 768, "1080p": 1080}
KINDS = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}
PICTURE_SIDE = 1024
MOST_SIDE = 4096
MOST_SECONDS = 30
DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Model:
    """`usd` is for one `per`; `several` answers a list also when it holds one file."""

    makes: Makes
    usd: float
    per: Literal["clip_second", "piece", "machine_second"] = "piece"
    seconds: float = 5.0
    several: bool = False
    has_sound: bool = False


MODELS = {
    "google/veo-3": Model("clip", 0.20, "clip_second", seconds=8, has_sound=True),
    "google/veo-3-fast": Model("clip", 0.10, "clip_second", seconds=8, has_sound=True),
    "kwaivgi/kling-v2.1": Model("clip", 0.09, "clip_second"),
    "kwaivgi/kling-v2.5-turbo-pro": Model("clip", 0.07, "clip_second"),
    "bytedance/seedance-1-lite": Model("clip", 0.08, "clip_second"),
    "bytedance/seedance-1-pro": Model("clip", 0.15, "clip_second"),
    "minimax/hailuo-02": Model("clip", 0.045, "clip_second", seconds=6),
    "wan-video/wan-2.2-t2v-fast": Model("clip", 0.11),
    "wan-video/wan-2.2-i2v-fast": Model("clip", 0.11),
    "google/nano-banana": Model("picture", 0.039),
    "bytedance/seedream-4": Model("picture", 0.03, several=True),
    "black-forest-labs/flux-schnell": Model("picture", 0.003, several=True),
    "black-forest-labs/flux-1.1-pro": Model("picture", 0.04),
    "nightmareai/real-esrgan": Model("larger", 0.000225, "machine_second"),
    "philz1337x/clarity-upscaler": Model("larger", 0.000975, "machine_second", several=True),
    "recraft-ai/recraft-crisp-upscale": Model("larger", 0.006),
    "topazlabs/image-upscale": Model("larger", 0.05),
    "851-labs/background-remover": Model("cut_out", 0.000225, "machine_second"),
    "bria/remove-background": Model("cut_out", 0.018),
    "lucataco/remove-bg": Model("cut_out", 0.0005),
    "recraft-ai/recraft-remove-background": Model("cut_out", 0.01),
}
VERSIONS = {
    "f121d640bd286e1fdc67f9799164c1d5be36ff74576ee11c803ae5b665dd46aa": "nightmareai/real-esrgan",
    "dfad41707589d68ecdccd1dfa600d55a208f9310748e44bfe35b4a6291453d5e": "philz1337x/clarity-upscaler",
    "a029dff38972b5fda4ec5d75d7d1cd25aeff621d2cf4946a41055d7db66b80bc": "851-labs/background-remover",
}
GUESSES = {
    "cut_out": (re.compile(r"rembg|remov\w*-b|background|birefnet|matting"), Model("cut_out", 0.01)),
    "larger": (re.compile(r"upscal|esrgan|super-res|swinir"), Model("larger", 0.01)),
    "clip": (
        re.compile(r"video|veo|kling|seedance|hailuo|wan-|sora|ray-|pixverse|ltx|t2v|i2v"),
        Model("clip", 0.10, "clip_second"),
    ),
}


def model_of(name: str, given: dict[str, Any]) -> Model:
    """The model of a name; one unknown, or known by its version only, is guessed from its name and input."""
    if name in MODELS:
        return MODELS[name]
    for pattern, model in GUESSES.values():
        if pattern.search(name):
            return model
    if "duration" in given or "num_frames" in given:
        return GUESSES["clip"][1]
    if "prompt" in given:
        return Model("picture", 0.04)
    return GUESSES["larger" if "scale" in given else "cut_out"][1]


def flaws(model: Model, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the model refuses in an input: field and reason."""
    if model.makes in {"clip", "picture"}:
        if not isinstance(given.get("prompt"), str):
            yield "prompt", "prompt is required" if "prompt" not in given else "prompt must be a string"
    elif image_of(given) is None:
        yield "image", "image is required"
    if model.makes == "clip":
        for name in ("duration", "num_frames", "frames_per_second"):
            if isinstance(given.get(name, 1), bool) or not isinstance(given.get(name, 1), int | float):
                yield name, f"{name} must be a number"
                return
        if not 0 < _seconds(model, given) <= MOST_SECONDS:
            yield "duration", f"the clip must be longer than 0 and no longer than {MOST_SECONDS} seconds"
    ratio = given.get("aspect_ratio")
    if ratio not in (None, "match_input_image") and _ratio(ratio) is None:
        yield "aspect_ratio", "aspect_ratio must be like 16:9"


def image_of(given: dict[str, Any]) -> str | None:
    """The URL of the first picture in an input."""
    for name in IMAGES:
        found = given.get(name)
        found = found[0] if isinstance(found, list) and found else found
        if isinstance(found, str) and found:
            return found
    return None


def data_of(url: str) -> bytes | None:
    """What a data URL holds; None when it is none."""
    head = DATA_URL.match(url)
    if head is None:
        return None
    try:
        return base64.b64decode(url[head.end() :])
    except Base64Error:
        return b""


def file_names(model: Model, given: dict[str, Any]) -> list[str]:
    """The files that a prediction will have made."""
    if model.makes == "clip":
        return ["output.mp4"]
    kind = "png" if model.makes == "cut_out" else given.get("output_format")
    kind = KINDS.get(str(kind), "png")
    count = given.get("num_outputs") or given.get("max_images") or 1
    if not model.several or not isinstance(count, int):
        return [f"output.{kind}"]
    return [f"output-{index}.{kind}" for index in range(min(max(count, 1), 8))]


def price(model: Model, given: dict[str, Any], machine_seconds: float) -> float:
    """USD for the whole of it."""
    if model.per == "machine_second":
        return model.usd * machine_seconds
    return model.usd * (_seconds(model, given) if model.per == "clip_second" else len(file_names(model, given)))


def render(model: Model, given: dict[str, Any], source: bytes | None, *, name: str, seed: str, side: int) -> bytes:
    """One of its files. `source` is the picture in its input, where the stub can read it; `side` as in Rules.clip_side."""
    kind = name.rpartition(".")[2]
    size = media.picture_size(source) if source else None
    if model.makes == "clip":
        width, height = _size(given, size or (16, 9), side or SIDES.get(str(given.get("resolution")), 720))
        has_sound = bool(given.get("generate_audio", model.has_sound))
        return media.clip(media.ClipShape(width, height, _seconds(model, given), has_sound), seed)
    if model.makes == "picture":
        width, height = _size(given, size or (1, 1), PICTURE_SIDE)
        return media.picture(width, height, kind, seed=seed)
    source = source or media.picture(512, 512, "png", seed=seed)
    if model.makes == "cut_out":
        return media.cut_out(source)
    return media.enlarged(source, _scale(given), kind, most=MOST_SIDE)


def _seconds(model: Model, given: dict[str, Any]) -> float:
    if "num_frames" in given:
        rate = float(given.get("frames_per_second", 16))
        return round(float(given["num_frames"]) / max(1.0, rate), 3)
    return float(given.get("duration", model.seconds))


def _scale(given: dict[str, Any]) -> float:
    """2, 2.0 and "2x" are the same; 4 where nothing is said."""
    said = given.get("scale") or given.get("scale_factor") or given.get("upscale_factor") or 4
    number = re.match(r"\d+(?:\.\d+)?", str(said))
    return min(max(float(number[0]), 1.0), 10.0) if number else 1.0


def _size(given: dict[str, Any], fallback: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height, both even, of the wanted aspect ratio; `side` is the shorter one."""
    across, down = _ratio(given.get("aspect_ratio")) or fallback
    scale = side / min(across, down)
    return max(2, round(across * scale / 2) * 2), max(2, round(down * scale / 2) * 2)


def _ratio(said: Any) -> tuple[int, int] | None:
    found = re.fullmatch(r"([1-9]\d?):([1-9]\d?)", said) if isinstance(said, str) else None
    return (int(found[1]), int(found[2])) if found else None

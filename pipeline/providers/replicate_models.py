"""The models at Replicate that this program can order from; a new one is one more entry of MODELS.

An entry says how an order becomes the model's `input`, what a call costs and how long it may take. A model without a
pinned version is one that Replicate itself keeps at its newest; a community model is pinned, since its author may
change it any day. Replicate tells no price in its answers: the prices are those of the models' pages on the day of
prices.READ_ON, and every cost is an estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from errors import InvalidInput, Unsupported
from pipeline.film.script import Aspect
from pipeline.providers.base import Estimate

Kind = Literal["video", "enhance", "cut_out"]
PICTURE = object()  # stands in an input where the picture goes, until it is sent
ENHANCE_PROMPT = (
    "Restore this product photograph: remove noise, blur and compression artifacts, correct the exposure and sharpen "
    "fine detail. Keep the product, its shape, colours, labels, text and the composition exactly as they are."
)
UNWANTED = "text, captions, watermark, logo, distorted product, low quality"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is ordered, for every kind of model; `seconds` is how long the clip must last at least."""

    prompt: str = ""
    seconds: float = 5.0
    aspect: Aspect = "16:9"
    seed: int = 0
    has_picture: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """USD: for each second of the clip, for each call, or for each second that the machine works."""

    second: float = 0.0
    call: float = 0.0
    machine_second: float = 0.0
    likely_machine_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplicateModel:
    """One model. `inputs` gives its input, with PICTURE where the picture goes; `longest_seconds` is sent as Cancel-After."""

    name: str
    kind: Kind
    inputs: Callable[[Wish], dict[str, Any]]
    price: Price
    longest_seconds: int
    version: str | None = None
    needs_picture: bool = False
    source: str = ""

    def estimate(self, given: Mapping[str, Any]) -> Estimate:
        """What a call with this input costs; the most is what the machine can do until it is stopped."""
        fixed = self.price.call + self.price.second * clip_seconds(given)
        likely = fixed + self.price.machine_second * self.price.likely_machine_seconds
        return Estimate(likely, max(likely, fixed + self.price.machine_second * self.longest_seconds))

    def cost(self, given: Mapping[str, Any], status: str, machine_seconds: float | None) -> float:
        """What a call that ended so costs: by its machine time, or by its result; a failed result costs nothing."""
        worked = self.price.likely_machine_seconds if machine_seconds is None else machine_seconds
        used = self.price.machine_second * (0.0 if status == "aborted" else worked)
        by_result = self.price.call + self.price.second * clip_seconds(given)
        # One that was cancelled is charged for what it has done, which it does not say: at most all of it.
        return used + (by_result if status in {"succeeded", "canceled"} else 0.0)


def clip_seconds(given: Mapping[str, Any]) -> float:
    """The length of the clip that an input asks for; 0 when it asks for no clip by length."""
    found = given.get("duration", 0)
    return float(found) if isinstance(found, int | float) else 0.0


def fitting(wanted: float, choices: tuple[int, ...]) -> int:
    """The shortest of the lengths on offer that is long enough, else the longest."""
    return next((one for one in sorted(choices) if one >= wanted - 0.05), max(choices))


def _wide_or_tall(aspect: Aspect) -> str:
    """For a model that knows no square: the film cuts the middle out of a wide clip."""
    return "16:9" if aspect == "1:1" else aspect


def _veo(wish: Wish) -> dict[str, Any]:
    given = {
        "prompt": wish.prompt,
        "negative_prompt": UNWANTED,
        "duration": fitting(wish.seconds, (4, 6, 8)),
        "aspect_ratio": _wide_or_tall(wish.aspect),
        "resolution": "1080p",
        "generate_audio": False,
        "seed": wish.seed,
    }
    return given | ({"image": PICTURE} if wish.has_picture else {})


def _kling(wish: Wish) -> dict[str, Any]:
    return {
        "prompt": wish.prompt,
        "negative_prompt": UNWANTED,
        "start_image": PICTURE,
        "duration": fitting(wish.seconds, (5, 10)),
        "mode": "pro",
    }


def _wan(wish: Wish) -> dict[str, Any]:
    """81 frames at 16 a second are its native 5 seconds; more frames cost more, so longer scenes are slowed down."""
    rate = 16 if wish.seconds <= 5.1 else max(5, int(81 / wish.seconds))
    return {
        "prompt": wish.prompt,
        "num_frames": 81,
        "frames_per_second": rate,
        "resolution": "720p",
        "go_fast": True,
        "seed": wish.seed,
    }


def _wan_text(wish: Wish) -> dict[str, Any]:
    return _wan(wish) | {"aspect_ratio": _wide_or_tall(wish.aspect)}


def _wan_picture(wish: Wish) -> dict[str, Any]:
    return _wan(wish) | {"image": PICTURE}


def _seedance(wish: Wish) -> dict[str, Any]:
    given = {
        "prompt": wish.prompt,
        "duration": fitting(wish.seconds, (5, 10)),
        "aspect_ratio": wish.aspect,
        "resolution": "1080p",
        "fps": 24,
        "seed": wish.seed,
    }
    return given | ({"image": PICTURE} if wish.has_picture else {})


def _nano_banana(wish: Wish) -> dict[str, Any]:
    given = {"prompt": wish.prompt or ENHANCE_PROMPT, "image_input": [PICTURE]}
    return given | {"aspect_ratio": "match_input_image", "output_format": "png"}


def _clarity(wish: Wish) -> dict[str, Any]:
    return {
        "image": PICTURE,
        "scale_factor": 2,
        "creativity": 0.2,
        "resemblance": 1.5,
        "output_format": "png",
        "seed": wish.seed,
    }


_ESRGAN = "f121d640bd286e1fdc67f9799164c1d5be36ff74576ee11c803ae5b665dd46aa"
_CLARITY = "dfad41707589d68ecdccd1dfa600d55a208f9310748e44bfe35b4a6291453d5e"
_REMOVER = "a029dff38972b5fda4ec5d75d7d1cd25aeff621d2cf4946a41055d7db66b80bc"
_PAGE = "https://replicate.com/"
_GPU_T4, _GPU_L40S = 0.000225, 0.000975  # USD a second, https://replicate.com/pricing

MODELS: dict[str, ReplicateModel] = {
    one.name: replace(one, source=one.source or _PAGE + one.name)
    for one in (
        ReplicateModel("google/veo-3-fast", "video", _veo, Price(second=0.10), 600),
        ReplicateModel("google/veo-3", "video", _veo, Price(second=0.20), 900),
        ReplicateModel("kwaivgi/kling-v2.1", "video", _kling, Price(second=0.09), 1200, needs_picture=True),
        ReplicateModel("wan-video/wan-2.2-t2v-fast", "video", _wan_text, Price(call=0.11), 600),
        ReplicateModel("wan-video/wan-2.2-i2v-fast", "video", _wan_picture, Price(call=0.11), 600, needs_picture=True),
        ReplicateModel("bytedance/seedance-1-lite", "video", _seedance, Price(second=0.08), 900),
        ReplicateModel("google/nano-banana", "enhance", _nano_banana, Price(call=0.039), 180, needs_picture=True),
        ReplicateModel(
            "nightmareai/real-esrgan",
            "enhance",
            lambda _wish: {"image": PICTURE, "scale": 2, "face_enhance": False},
            Price(machine_second=_GPU_T4, likely_machine_seconds=8),
            180,
            _ESRGAN,
            needs_picture=True,
        ),
        ReplicateModel(
            "philz1337x/clarity-upscaler",
            "enhance",
            _clarity,
            Price(machine_second=_GPU_L40S, likely_machine_seconds=20),
            300,
            _CLARITY,
            needs_picture=True,
        ),
        ReplicateModel(
            "851-labs/background-remover",
            "cut_out",
            lambda _wish: {"image": PICTURE, "format": "png", "background_type": "rgba"},
            Price(machine_second=_GPU_T4, likely_machine_seconds=3),
            180,
            _REMOVER,
            needs_picture=True,
        ),
    )
}
# Faithful before clever: what it sharpens is still the customer's own product.
ENHANCE_MODEL, CUT_OUT_MODEL = "nightmareai/real-esrgan", "851-labs/background-remover"


def find_model(name: str, kind: Kind) -> ReplicateModel:
    """The model of a name, "owner/model" or "owner/model:version"; InvalidInput with the nearest name when it is unknown."""
    bare, _, version = name.strip().partition(":")
    model = MODELS.get(bare)
    if model is None or model.kind != kind:
        known = [one.name for one in MODELS.values() if one.kind == kind]
        close = get_close_matches(bare, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        raise InvalidInput(f"{name[:100]!r} is no model at Replicate for {kind} that this program knows; {hint}")
    return replace(model, version=version) if version else model


def input_of(model: ReplicateModel, wish: Wish) -> dict[str, Any]:
    """The model's input for a wish; Unsupported when it wants a picture and there is none."""
    if model.needs_picture and not wish.has_picture:
        raise Unsupported(f"{model.name} makes its clip from a picture, and this scene has none")
    return model.inputs(wish)


def takes_picture(given: Any) -> bool:
    """Whether an input has a place for a picture."""
    if isinstance(given, dict | list):
        return any(takes_picture(one) for one in (given.values() if isinstance(given, dict) else given))
    return given is PICTURE

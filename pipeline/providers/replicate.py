"""Replicate: clips from prompts and pictures, better pictures, pictures without their background."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from errors import InvalidInput, Permanent
from pipeline.providers.base import Capability, Check, Clip, ClipOrder, Estimate
from pipeline.providers.hosted import Hosted
from pipeline.providers.paid import Gate, Ledger
from pipeline.providers.replicate_api import ReplicateApi, gate_of
from pipeline.providers.replicate_call import Picture, Prediction
from pipeline.providers.replicate_models import (
    CUT_OUT_MODEL,
    ENHANCE_MODEL,
    MODELS,
    Kind,
    Wish,
    find_model,
)
from pipeline.providers.vendor_http import KeyRefusedError
from settings import Settings, get_settings

MOST_SEED = 2**31


class _Replicate(Hosted[ReplicateApi]):
    """What both capabilities do the same way."""

    name: ClassVar[str] = "replicate"
    key: ClassVar[str] = "replicate_api_token"

    def open_api(self, settings: Settings) -> ReplicateApi:
        """Its API under the key."""
        return ReplicateApi(settings)

    @property
    def gate(self) -> Gate:
        """Ten calls a second and REPLICATE_SLOTS at a time for each token."""
        return gate_of(get_settings())

    def cancel_call(self, external_id: str) -> float | None:
        """Stop a prediction; what it costs all the same by our table, None when that is nothing or unknown."""
        api = self.api()
        try:
            seen = api.cancel(external_id)
        except KeyRefusedError:
            raise
        except Permanent:
            # Unknown there, or it has ended and cannot be stopped: nothing is left to do.
            return None
        model, metrics, given = MODELS.get(str(seen.get("model"))), seen.get("metrics"), seen.get("input")
        if model is None or not seen.get("started_at"):
            return None
        spent = metrics.get("predict_time") if isinstance(metrics, dict) else None
        status = seen["status"] if seen["status"] in {"succeeded", "failed", "aborted"} else "canceled"
        cost = model.cost(given if isinstance(given, dict) else {}, status, spent if isinstance(spent, float) else None)
        return cost or None


class ReplicateFilm(_Replicate):
    """Clips by the model of REPLICATE_VIDEO_MODEL."""

    capability: ClassVar[Capability] = "film"

    @property
    def version(self) -> str:  # type: ignore[override]
        """Another model makes another clip."""
        return f"1-{get_settings().replicate_video_model}"

    def available(self) -> str | None:
        """None when there is a token, and REPLICATE_VIDEO_MODEL is known."""
        try:
            find_model(get_settings().replicate_video_model, "video")
        except InvalidInput as error:
            return f"REPLICATE_VIDEO_MODEL: {error}"
        return super().available()

    def clip(self, order: ClipOrder, *, folder: Path, check: Check, ledger: Ledger) -> Clip:
        """See Filmer; Unsupported when the model wants a picture and the order has none, OutputExpiredError (BadReply)."""
        model = find_model(get_settings().replicate_video_model, "video")
        picture = Picture.of(order.image, order.image_digest) if order.image else None
        call = Prediction("clip", self.api(), model, _wish(order), picture=picture, folder=folder, check=check)
        path, media_type = ledger.charge(call)
        return Clip(path, media_type, self.name, model.name)

    def estimate(self, order: ClipOrder) -> Estimate:
        """What the clip costs by our table."""
        model = find_model(get_settings().replicate_video_model, "video")
        return model.estimate(model.inputs(_wish(order)))


class ReplicateEnhancer(_Replicate):
    """Pictures made larger and cleaner, or cut out of their background."""

    capability: ClassVar[Capability] = "enhance"

    def enhance(self, image: Path, *, digest: str, folder: Path, check: Check, ledger: Ledger) -> Path:
        """See Enhancer."""
        return self._picture(ENHANCE_MODEL, "enhance", image, digest, folder, check, ledger)

    def cut_out(self, image: Path, *, digest: str, folder: Path, check: Check, ledger: Ledger) -> Path:
        """See Enhancer."""
        return self._picture(CUT_OUT_MODEL, "cut_out", image, digest, folder, check, ledger)

    def _picture(
        self, name: str, kind: Kind, image: Path, digest: str, folder: Path, check: Check, ledger: Ledger
    ) -> Path:
        call = Prediction(
            kind,
            self.api(),
            find_model(name, kind),
            Wish(has_picture=True),
            picture=Picture.of(image, digest),
            folder=folder,
            check=check,
        )
        path, _ = ledger.charge(call)
        return Path(path)


def _wish(order: ClipOrder) -> Wish:
    return Wish(order.prompt, order.seconds, order.aspect, order.seed % MOST_SEED, order.image is not None)

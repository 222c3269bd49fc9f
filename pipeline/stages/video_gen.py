"""`video_gen`: the picture of each scene: from the user's images, generated, or a clip that a vendor makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifacts import Artifact
from errors import InvalidInput, Permanent
from pipeline.context import Context
from pipeline.film.cores import children_at_once
from pipeline.film.engine import look_at, prepare
from pipeline.film.kinds import ENDINGS, MOST_CLIP_BYTES, clip_type
from pipeline.film.render_job import PlateJob, PlateReport
from pipeline.film.script import Scene, ScenePlate
from pipeline.providers.base import calls_at_once
from pipeline.stage import stage
from settings import Settings


def _at_once(payload: Any, film: Any, settings: Settings) -> int:
    """Clips as the vendor takes them, plates as there are cores."""
    del payload
    return calls_at_once(film) if film.hosted else children_at_once(settings.worker_concurrency)


@stage(
    "video_gen",
    needs=("script_gen",),
    each="scenes",
    capability="film",
    weight=25,
    hard_seconds=2700,
    cache=True,
    reads=("images", "style", "shapes", "seed", "product_name", "brand_color"),
    version="7",
    at_once=_at_once,
)
def video_gen(context: Context, scene: Scene) -> ScenePlate:
    """Prepare the picture of one scene."""
    image, name = _image(context, scene)
    if image is not None and (kind := clip_type(image)) is not None:
        try:
            look_at("clip", image, check=context.check)
        except Permanent as error:
            raise type(error)(f"{name}: {error}") from None
        return _keep_clip(context, scene, image, kind)
    if context.provider("film").hosted:
        return _order_clip(context, scene, None if image is None else _plate(context, scene, image, name).output)
    plate = _plate(context, scene, image, name)
    picture = context.keep(plate.output, media_type="image/png", name=f"plate-{scene.index}.png")
    return ScenePlate(index=scene.index, picture=picture, source=plate.source)


def _order_clip(context: Context, scene: Scene, still: Path | None) -> ScenePlate:
    """The vendor begins with the user's picture where there is one, and with words where there is none."""
    from pipeline.providers.clip_prompt import clip_order  # grammar that an idle worker need not know

    payload = context.payload
    order = clip_order(
        scene,
        product_name=payload.product_name,
        style=payload.style,
        aspect=payload.shapes[0],
        seed=payload.seed,
        still=still,
    )
    film = context.provider("film")
    clip = film.clip(order, folder=context.workdir, check=context.check, ledger=context.ledger)
    return _keep_clip(context, scene, clip.path, clip.media_type)


def _keep_clip(context: Context, scene: Scene, path: Path, media_type: str) -> ScenePlate:
    """A moving picture stays as it is."""
    picture = context.keep(path, media_type=media_type, name=f"clip-{scene.index}{ENDINGS.get(media_type, '')}")
    return ScenePlate(index=scene.index, picture=picture, source="clip")


def _plate(context: Context, scene: Scene, image: Path | None, name: str) -> PlateReport:
    payload = context.payload
    order = PlateJob(
        aspect=payload.shapes[0],
        style=payload.style,
        seed=payload.seed,
        brand_color=payload.brand_color,
        index=scene.index,
        image_path=image,
        image_name=name,
        output=context.workdir / "plate.png",
    )
    return prepare(order, context.workdir, check=context.check)


def _image(context: Context, scene: Scene) -> tuple[Path | None, str]:
    """The file of the scene's image and its name for messages; no image: generated art."""
    images: tuple[Artifact | str, ...] = context.payload.images
    if scene.image is None or not images:
        return None, ""
    if scene.image >= len(images):
        raise InvalidInput(f"the script shows image {scene.image + 1}, and there are {len(images)}")
    image = images[scene.image]
    name = image.name if isinstance(image, Artifact) else f"images.{scene.image}"
    return context.file(image, "download", most_bytes=MOST_CLIP_BYTES), name

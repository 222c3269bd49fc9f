"""`video_gen`: the picture of each scene, from the user's images or generated, prepared in a child process."""

from __future__ import annotations

from pathlib import Path

from artifacts import Artifact
from errors import InvalidInput
from pipeline.context import Context
from pipeline.fetch import fetch
from pipeline.film.engine import run_engine
from pipeline.film.images import MOST_BYTES
from pipeline.film.render_job import PlateJob, PlateReport
from pipeline.film.script import Scene, ScenePlate
from pipeline.stage import stage

PLATE_SECONDS = 120.0
PLATE_MEMORY_MB = 1500


@stage(
    "video_gen",
    needs=("script_gen",),
    each="scenes",
    capability="film",
    weight=25,
    hard_seconds=2700,
    cache=True,
    reads=("images", "style", "aspect", "seed"),
    version="1",
)
def video_gen(context: Context, scene: Scene) -> ScenePlate:
    """Prepare the picture of one scene."""
    payload = context.payload
    image, name = _image(context, scene)
    output = context.workdir / "plate.png"
    order = PlateJob(
        aspect=payload.aspect,
        style=payload.style,
        seed=payload.seed,
        index=scene.index,
        image_path=image,
        image_name=name,
        output=output,
    )
    order_file = context.workdir / "plate.json"
    order_file.write_text(order.model_dump_json())
    answer = run_engine(
        "pipeline.film.plates",
        order_file,
        timeout_seconds=PLATE_SECONDS,
        memory_mb=PLATE_MEMORY_MB,
        check=context.check,
    )
    report = PlateReport.model_validate(answer)
    picture = context.keep(report.output, media_type="image/png", name=f"plate-{scene.index}.png")
    return ScenePlate(index=scene.index, picture=picture, source=report.source)


def _image(context: Context, scene: Scene) -> tuple[Path | None, str]:
    """The file of the scene's image and its name for messages; no image: generated art."""
    images: tuple[Artifact | str, ...] = context.payload.images
    if scene.image is None or not images:
        return None, ""
    if scene.image >= len(images):
        raise InvalidInput(f"the script shows image {scene.image + 1}, and there are {len(images)}")
    image = images[scene.image]
    if isinstance(image, Artifact):
        return context.path(image), image.name
    path = context.workdir / "download"
    fetch(image, path, most_bytes=MOST_BYTES, check=context.check)
    return path, f"images.{scene.image}"

"""Prepares the picture of one scene in a process of its own: `python -m pipeline.film.plates JOB.json`.

Prints one line of JSON: a PlateReport, or {"error": class, "message": sentence} with exit code 1. With
`--inspect FILE [NAME]` it prints the facts of a picture instead, with `--inspect-clip FILE` those of a film,
with `--inspect-sound FILE` those of a piece of music. Users' pictures are decoded only here (and, with
caps, at the door by `images.inspect_image`).
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from errors import InvalidInput
from pipeline.film.child import answer
from pipeline.film.grounds import PLATE_SCALE
from pipeline.film.layout import STAGES, even
from pipeline.film.render_job import PlateJob, PlateReport, read_order
from pipeline.film.themes import theme_of

PNG_LEVEL = 1  # plates are read once, by ourselves


def prepare(job: PlateJob) -> PlateReport:
    """Make the PNG of one scene: the user's picture, upright and no larger than a film needs, or art."""
    stage = STAGES[job.aspect]
    width, height = (even(side * PLATE_SCALE) for side in (stage.width, stage.height))
    if job.image_path is None:
        _save(_art(job, width, height), job.output)
        return PlateReport(output=job.output, width=width, height=height, source="art")
    from pipeline.film.images import load_image

    # No side of a film needs more than its plate's longer one times the closest crop of a card.
    picture = load_image(job.image_path, job.image_name, longest=job.longest or max(width, height))
    if job.trim and picture.mode == "RGBA":
        picture = picture.crop(picture.getchannel("A").getbbox())
    source = "cutout" if picture.mode == "RGBA" else "photo"
    _save(picture, job.output)
    return PlateReport(output=job.output, width=picture.width, height=picture.height, source=source)


def _art(job: PlateJob, width: int, height: int) -> Any:
    import numpy as np
    from PIL import Image

    from pipeline.film import art

    seed = job.seed * 31 + job.index
    pixels = art.dither(art.scene_art(width, height, theme_of(job.style, job.brand_color), seed), seed)
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def _save(picture: Any, output: Path) -> None:
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        picture.save(part, format="PNG", compress_level=PNG_LEVEL)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _inspect(arguments: list[str]) -> dict[str, Any]:
    from pipeline.film.images import inspect_image

    if not arguments:
        raise InvalidInput("--inspect needs the name of a file")
    return asdict(inspect_image(Path(arguments[0]), *arguments[1:2]))


def _inspect_clip(path: Path) -> dict[str, Any]:
    from pipeline.film.clips import inspect_clip

    return asdict(inspect_clip(path))


def _inspect_sound(path: Path) -> dict[str, Any]:
    from pipeline.film.own_music import inspect_sound

    return inspect_sound(path)


LOOKS = {"--inspect-clip": _inspect_clip, "--inspect-sound": _inspect_sound}


def main(arguments: list[str]) -> int:
    """Run one order; 0 when done, 1 with the error as JSON."""

    def work() -> dict[str, Any]:
        if arguments[:1] == ["--inspect"]:
            return _inspect(arguments[1:])
        if len(arguments) == 2 and arguments[0] in LOOKS:
            return LOOKS[arguments[0]](Path(arguments[1]))
        if len(arguments) == 1:
            return prepare(read_order(PlateJob, Path(arguments[0]), "plate job")).model_dump(mode="json")
        raise InvalidInput("usage: python -m pipeline.film.plates JOB.json | --inspect FILE [NAME]")

    return answer(work, what="the picture")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

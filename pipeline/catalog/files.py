"""Files named by a user become artifacts at the door: a job holds digests and https addresses, never paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artifacts import Artifact, LocalStore, open_store
from errors import InvalidInput, Permanent, TooLarge
from pipeline.catalog.base import Pipeline
from settings import get_settings

CLIP_SECONDS, CLIP_MEMORY_MB = 30.0, 1500
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}


def take_files(
    pipeline: Pipeline, data: dict[str, Any], *, roots: Sequence[Path] | None = None, store: LocalStore | None = None
) -> tuple[dict[str, Any], list[Artifact]]:
    """The payload with its paths stored as artifacts, and the artifacts it names.

    `roots`: where paths may lie (INPUT_ROOTS unless given; the command line passes the whole disk).
    Errors: InvalidInput, Unsupported or TooLarge with a sentence that names the file.
    """
    artifacts: list[Artifact] = []
    replaced: dict[str, Any] = {}
    for field in pipeline.file_fields:
        values = data.get(field)
        if isinstance(values, str | Path):
            values = [values]
        if not isinstance(values, list | tuple):
            continue
        taken: list[Any] = []
        for number, value in enumerate(values):
            name = f"{field}.{number}"
            if isinstance(value, str | Path) and not str(value).startswith(("https://", "http://")):
                store = store or open_store()
                artifact = _take(name, Path(value), roots, store)
                artifacts.append(artifact)
                taken.append(artifact.model_dump())
            else:
                taken.append(value)
                if isinstance(value, Artifact | dict):
                    artifacts.append(_held(name, value, store or open_store()))
        replaced[field] = taken
    return data | replaced, artifacts


def _take(name: str, path: Path, roots: Sequence[Path] | None, store: LocalStore) -> Artifact:
    from pipeline.film.images import inspect_image
    from pipeline.film.kinds import clip_type

    allowed = get_settings().input_roots if roots is None else roots
    real = path.resolve()
    if not any(real.is_relative_to(root.resolve()) for root in allowed):
        raise InvalidInput(f"{name}={str(path)!r}: paths are read from INPUT_ROOTS only; give an https address instead")
    if not real.is_file():
        raise InvalidInput(f"{name}={str(path)!r}: there is no such file")
    try:
        if (kind := clip_type(real)) is not None:
            _check_clip(real)
            return store.put(real, media_type=kind, name=path.name)
        facts = inspect_image(real, path.name)
    except Permanent as error:
        raise type(error)(f"{name}={str(path)!r}: {error}") from None
    return store.put(real, media_type=MEDIA_TYPES.get(facts.format, "application/octet-stream"), name=path.name)


def _check_clip(path: Path) -> None:
    """A stranger's film is opened in a child only."""
    from pipeline.film.engine import run_engine
    from pipeline.film.kinds import MOST_CLIP_BYTES

    if (size := path.stat().st_size) > MOST_CLIP_BYTES:
        raise TooLarge(f"it has {size / 1e6:.0f} MB; at most {MOST_CLIP_BYTES / 1e6:.0f} MB are taken")
    arguments = (Path("--inspect-clip"), path)
    run_engine(
        "pipeline.film.plates", *arguments, timeout_seconds=CLIP_SECONDS, memory_mb=CLIP_MEMORY_MB, check=lambda: None
    )


def _held(name: str, value: Artifact | dict[str, Any], store: LocalStore) -> Artifact:
    try:
        artifact = value if isinstance(value, Artifact) else Artifact.model_validate(value)
    except ValueError:
        raise InvalidInput(f"{name}: not an artifact (sha256, size, media_type)") from None
    if not store.holds(artifact):
        raise InvalidInput(f"{name}={artifact.sha256[:12]}...: the artifact store has no such file")
    return artifact

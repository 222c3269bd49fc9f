"""Files named by a user become artifacts at the door: a job holds digests and https addresses, never paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from artifacts import Artifact, LocalStore, open_store
from errors import InvalidInput, Permanent, TooLarge, Unsupported
from pipeline.catalog.base import Pipeline
from settings import get_settings

Check = Callable[[Path, str], str]
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "HEIF": "image/heic"}


def take_files(
    pipeline: Pipeline, data: dict[str, Any], *, roots: Sequence[Path] | None = None, store: LocalStore | None = None
) -> tuple[dict[str, Any], list[Artifact]]:
    """The payload with its paths stored as artifacts, and the artifacts it names.

    `roots`: where paths may lie (INPUT_ROOTS unless given; the command line passes the whole disk).
    Errors: InvalidInput, Unsupported or TooLarge with a sentence that names the file.
    """
    taken = _Taken(roots, store)
    replaced: dict[str, Any] = {}
    for field in pipeline.file_fields:
        values = data.get(field)
        if isinstance(values, str | Path):
            values = [values]
        if isinstance(values, list | tuple):
            replaced[field] = [taken.take(f"{field}.{number}", value, _picture) for number, value in enumerate(values)]
    singles = dict.fromkeys(pipeline.still_fields, _still) | dict.fromkeys(pipeline.sound_fields, _sound)
    for field, check in singles.items():
        if data.get(field) is not None:
            replaced[field] = taken.take(field, data[field], check)
    return data | replaced, taken.artifacts


def inspect_file(path: Path, name: str) -> str:
    """What a file is that somebody brings: a picture, film or sound that a job can use. Unsupported for others."""
    from pipeline.film.kinds import sound_type

    return _sound(path, name) if sound_type(path) is not None else _picture(path, name)


class _Taken:
    """The files of one payload on their way into the store."""

    def __init__(self, roots: Sequence[Path] | None, store: LocalStore | None) -> None:
        self._roots, self._store = roots, store
        self.artifacts: list[Artifact] = []

    def take(self, name: str, value: Any, check: Check) -> Any:
        """An artifact in the place of a path; addresses and what is no file stay as they are."""
        if isinstance(value, str | Path) and not str(value).startswith(("https://", "http://")):
            self.artifacts.append(self._keep(name, Path(value), check))
            return self.artifacts[-1].model_dump()
        if isinstance(value, Artifact | dict):
            self.artifacts.append(_held(name, value, self.store()))
        return value

    def store(self) -> LocalStore:
        """Opened when the first file needs it."""
        self._store = self._store or open_store()
        return self._store

    def _keep(self, name: str, path: Path, check: Check) -> Artifact:
        allowed = get_settings().input_roots if self._roots is None else self._roots
        real = path.resolve()
        if not any(real.is_relative_to(root.resolve()) for root in allowed):
            raise InvalidInput(
                f"{name}={str(path)!r}: paths are read from INPUT_ROOTS only; give an https address instead"
            )
        if not real.is_file():
            raise InvalidInput(f"{name}={str(path)!r}: there is no such file")
        try:
            media_type = check(real, path.name)
        except Permanent as error:
            raise type(error)(f"{name}={str(path)!r}: {error}") from None
        return self.store().put(real, media_type=media_type, name=path.name)


def _picture(path: Path, name: str) -> str:
    """The media type of a picture or film that a scene can show."""
    from pipeline.film.kinds import MOST_CLIP_BYTES, clip_type

    if (kind := clip_type(path)) is not None:
        _look_at("clip", path, MOST_CLIP_BYTES)
        return kind
    return _still(path, name)


def _still(path: Path, name: str) -> str:
    """The media type of a picture."""
    from pipeline.film.images import inspect_image

    return MEDIA_TYPES.get(inspect_image(path, name).format, "application/octet-stream")


def _sound(path: Path, name: str) -> str:
    """The media type of a sound that can be played under a film."""
    from pipeline.film.kinds import MOST_SOUND_BYTES, sound_type

    if (kind := sound_type(path)) is None:
        raise Unsupported(f"{name} is not an MP3, WAV, FLAC, Ogg or M4A file")
    _look_at("sound", path, MOST_SOUND_BYTES)
    return kind


def _look_at(kind: Literal["clip", "sound"], path: Path, most_bytes: int) -> None:
    from pipeline.film.engine import look_at

    if (size := path.stat().st_size) > most_bytes:
        raise TooLarge(f"it has {size / 1e6:.0f} MB; at most {most_bytes / 1e6:.0f} MB are taken")
    look_at(kind, path)


def _held(name: str, value: Artifact | dict[str, Any], store: LocalStore) -> Artifact:
    try:
        artifact = value if isinstance(value, Artifact) else Artifact.model_validate(value)
    except ValueError:
        raise InvalidInput(f"{name}: not an artifact (sha256, size, media_type)") from None
    if not store.holds(artifact):
        raise InvalidInput(f"{name}={artifact.sha256[:12]}...: the artifact store has no such file")
    return artifact

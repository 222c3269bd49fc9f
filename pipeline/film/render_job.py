"""The order for one film, as a JSON file: what the child process `python -m pipeline.film.render` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError, field_validator

from errors import InvalidInput
from pipeline.film.script import Aspect, Frozen, PictureSource, Scene, Style, Word

SIZES: dict[str, tuple[int, int]] = {"9:16": (1080, 1920), "1:1": (1080, 1080), "16:9": (1920, 1080)}
MAX_FILM_SECONDS = 600.0

T = TypeVar("T", bound=Frozen)


class SceneInput(Frozen):
    """One scene with its sound, its words in time and its picture; no `plate_path` means generated art."""

    scene: Scene
    audio_path: Path
    duration_seconds: float = Field(gt=0, description="of the sound")
    words: tuple[Word, ...] = ()
    plate_path: Path | None = None
    plate_source: PictureSource = "art"


class RenderJob(Frozen):
    """A whole film: equal jobs give equal frames. `price` and `url` are shown only when given."""

    aspect: Aspect = "9:16"
    fps: int = Field(30, ge=10, le=60)
    size: float = Field(1.0, gt=0, le=1, description="the picture's size as a share of the aspect's")
    style: Style = "minimal"
    language: str = "en"
    product_name: str = Field(min_length=1, max_length=200)
    cta_text: str = Field("", max_length=200)
    url: str = Field("", max_length=300)
    price: str = Field("", max_length=60)
    music: bool | Style = True
    music_path: Path | None = Field(None, description="the user's own, in the place of the composed bed")
    seed: int = 0
    brand_color: str = Field("", pattern=r"^(#[0-9A-Fa-f]{6})?$")
    logo_path: Path | None = Field(None, description="as made by `plates`: a PNG")
    scenes: tuple[SceneInput, ...] = Field(min_length=1, max_length=60)
    target_seconds: float | None = Field(None, gt=0, le=MAX_FILM_SECONDS)
    workers: int = Field(1, ge=1, le=64, description="processes that render at once; changes no picture")
    output: Path
    work_dir: Path

    @field_validator("music", mode="before")
    @classmethod
    def _none_is_off(cls, value: object) -> object:
        return False if value in ("none", "", None) else value

    @property
    def width(self) -> int:
        """Of the picture, in pixels."""
        return SIZES[self.aspect][0]

    @property
    def height(self) -> int:
        """Of the picture, in pixels."""
        return SIZES[self.aspect][1]

    @property
    def music_style(self) -> str | None:
        """The style of the music, or None for a film without."""
        if self.music is True:
            return self.style
        return self.music or None


class PlateJob(Frozen):
    """The order for one scene's picture: from a user's file, or generated when `image_path` is None."""

    aspect: Aspect = "9:16"
    style: Style = "minimal"
    seed: int = 0
    index: int = Field(0, ge=0)
    brand_color: str = ""
    image_path: Path | None = None
    image_name: str = Field("", description="the file's name as its owner knows it, for messages")
    trim: bool = Field(False, description="cut clear edges off, as of a logo")
    longest: int | None = Field(None, gt=0, description="of the sides, in pixels; None: what a scene's picture needs")
    output: Path


class PlateReport(Frozen):
    """What `python -m pipeline.film.plates` made: the size in pixels and where the picture comes from."""

    output: Path
    width: int
    height: int
    source: PictureSource


def read_order(kind: type[T], path: Path, what: str) -> T:
    """The order in a file, such as a "render job"; InvalidInput with one sentence that names the wrong field."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"the {what} {path.name} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InvalidInput(f"the {what} is wrong: {_first_fault(error)}") from None


def _first_fault(error: ValidationError) -> str:
    """The first complaint of pydantic as `field.path: reason`."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'file'}: {first['msg']}"

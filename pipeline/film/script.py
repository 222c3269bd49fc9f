"""What a film is made of before it is a film: scenes, their words in time, their pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from artifacts import Artifact


def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in Path(__file__).with_name(folder).glob("[a-z]*.py")))


# A look and a kind of scene are a file each: dropping one in is all that it takes.
STYLES, SCENE_KINDS = _names("looks"), _names("scenes")
if TYPE_CHECKING:
    Style = str
    SceneKind = str
else:
    Style = Literal[STYLES]
    SceneKind = Literal[SCENE_KINDS]
Aspect = Literal["9:16", "1:1", "16:9"]


class Frozen(BaseModel):
    """A value: compared by content, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _sayable(value: str) -> str:
    # Letters of any script, marks and digits: something a person could read out.
    if not re.search(r"[^\W_]", value):
        raise ValueError("should have at least one letter or digit")
    return value


def _figure(value: str) -> str:
    if not re.search(r"\d", value):
        raise ValueError("should have a number, such as 10,000+ or 4.8")
    return value


Sayable = Annotated[str, AfterValidator(_sayable)]


class Stat(Frozen):
    """A figure of the user's, such as "10,000+" of "happy customers"."""

    value: Annotated[str, AfterValidator(_figure)] = Field(min_length=1, max_length=16)
    label: Sayable = Field(min_length=1, max_length=60)
    stars: int = Field(0, ge=0, le=5, description="of five; 0 shows none")


class Quote(Frozen):
    """What somebody said, in their words."""

    text: Sayable = Field(min_length=1, max_length=180)
    author: str = Field("", max_length=60)
    stars: int = Field(0, ge=0, le=5, description="of five; 0 shows none")


class Scene(Frozen):
    """One scene of the script: what is said and what is shown."""

    index: int = Field(ge=0)
    kind: SceneKind
    narration: str = Field(min_length=1)
    headline: str
    kicker: str = ""
    lines: tuple[str, ...] = ()
    stars: int = Field(0, ge=0, le=5, description="of five; 0 shows none")
    subtitle: str = Field("", description="what the captions show in the place of the narration")
    image: int | None = Field(None, ge=0, description="which of the payload's images this scene shows")


class FilmVersion(Frozen):
    """One film of several that a job makes: its aspect, and which opening it has (0: the script's own)."""

    aspect: Aspect
    opening: int = 0

    @property
    def label(self) -> str:
        """For the names of its files, such as `9x16-2`."""
        return self.aspect.replace(":", "x") + (f"-{self.opening + 1}" if self.opening else "")


class Script(Frozen):
    """The whole script, scene by scene, fitted to the wanted duration.

    `openings` are other first scenes; their indices follow those of the scenes. `left_out` is what the writer was given and
    found no time for.
    """

    style: Style
    language: str
    scenes: tuple[Scene, ...] = Field(min_length=1)
    openings: tuple[Scene, ...] = ()
    provider: str = "local"
    left_out: tuple[str, ...] = ()

    @property
    def spoken(self) -> tuple[Scene, ...]:
        """All that is to be spoken."""
        return self.scenes + self.openings

    def order_of(self, opening: int) -> tuple[int, ...]:
        """The places, among `spoken`, of a film with this opening."""
        first = len(self.scenes) + opening - 1 if opening else 0
        return (first, *range(1, len(self.scenes)))


class Word(Frozen):
    """One word of the narration as it is shown; seconds from the start of its scene's sound."""

    text: str
    start: float = Field(ge=0)
    end: float = Field(ge=0)


class SpokenScene(Frozen):
    """The sound of one scene (mono WAV) with the time of every word; duration in seconds."""

    index: int = Field(ge=0)
    audio: Artifact
    duration_seconds: float = Field(gt=0)
    words: tuple[Word, ...]
    provider: str


PictureSource = Literal["photo", "cutout", "art", "clip"]


class ScenePlate(Frozen):
    """The prepared picture of one scene: a `photo` or `cutout` of the user's, generated `art`, or a vendor's moving `clip`."""

    index: int = Field(ge=0)
    picture: Artifact
    source: PictureSource

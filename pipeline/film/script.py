"""What a film is made of before it is a film: scenes, their words in time, their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class Scene(Frozen):
    """One scene of the script: what is said and what is shown."""

    index: int = Field(ge=0)
    kind: SceneKind
    narration: str = Field(min_length=1)
    headline: str
    kicker: str = ""
    lines: tuple[str, ...] = ()
    image: int | None = Field(None, ge=0, description="which of the payload's images this scene shows")


class Script(Frozen):
    """The whole script, scene by scene, fitted to the wanted duration."""

    style: Style
    language: str
    scenes: tuple[Scene, ...] = Field(min_length=1)
    provider: str = "local"


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

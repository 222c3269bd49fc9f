"""The film as data: what is seen and written when. Frozen, JSON-able, and a pure function of the job.

Times of pictures are in frames, times of text in seconds (libass draws by time); places and sizes are in pixels of the
output, colours are #RRGGBB.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.film.fonts import NOTHING, Face, Wardrobe
from pipeline.film.theme import OrnamentKind, TransitionKind

Treatment = Literal["mesh", "art", "cover", "extend", "veil", "card", "clip", "logo"]
Enter = Literal["none", "fade", "rise", "pop", "button"]
ShapeKind = Literal["box", "check", "line", "star"]


@dataclass(frozen=True)
class Picture:
    """How one raster is made: from which file (none: generated), by which treatment, at which size in pixels.

    `monogram` is written in `face`, its middle at the share `middle` of the height. A `clip` is no raster: its frames are read from the file, one after the other, and darkened by the share `dim`.
    """

    treatment: Treatment
    width: int
    height: int
    path: str = ""
    colors: tuple[str, ...] = ()
    seed: int = 0
    radius: float = 0.0
    closeness: float = 1.0
    monogram: str = ""
    middle: float = 0.5
    face: Face | None = None
    ornament: OrnamentKind | None = None
    contain: bool = False
    dim: float = 0.0


@dataclass(frozen=True)
class Plate:
    """A picture that fills the frame and zooms slowly; `focus` is the point that stays, as shares of the frame."""

    picture: Picture
    zoom: tuple[float, float]
    focus: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class Sprite:
    """A shadowed card in front of the plate: its centre, and how far it rises while it enters, in pixels.

    It zooms with its plate, about its own centre.
    """

    picture: Picture
    center: tuple[float, float]
    rise: float


@dataclass(frozen=True)
class Mark:
    """A logo that stands still over its shot; `at` is its upper left corner, in whole even pixels."""

    picture: Picture
    at: tuple[int, int]


@dataclass(frozen=True)
class Shot:
    """One scene's picture, from the middle of the cut before it to the middle of the cut after it."""

    index: int
    first: int
    last: int
    plate: Plate
    sprite: Sprite | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Cut:
    """A transition of `frames` frames centred on frame `at`, the first of the next shot."""

    at: int
    frames: int
    kind: TransitionKind


@dataclass(frozen=True)
class Label:
    """One line of text; (x, y) is its middle (or its left end when `left`) at the height of half a capital.

    Its number counts up from nothing in `count` seconds.
    """

    text: str
    x: float
    y: float
    px: float
    face: Face
    color: str
    start: float
    end: float
    enter: Enter = "rise"
    left: bool = False
    tracking: float = 0.0
    shadow: float = 0.0
    layer: int = 10
    count: float = 0.0


@dataclass(frozen=True)
class Shape:
    """A vector shape around its centre; alpha 0 is opaque, 1 invisible; `blur` softens it (a shadow)."""

    kind: ShapeKind
    x: float
    y: float
    width: float
    height: float
    color: str
    start: float
    end: float
    radius: float = 0.0
    alpha: float = 0.0
    blur: float = 0.0
    enter: Enter = "fade"
    layer: int = 5


@dataclass(frozen=True)
class CaptionWord:
    """One caption word: its middle and width in pixels, and when it is the active one, in seconds.

    A `glued` one is written without a space after the word before it: a part of a text that knows no spaces.
    """

    text: str
    x: float
    width: float
    start: float
    end: float
    glued: bool = False


@dataclass(frozen=True)
class CaptionPage:
    """Words shown together on one line centred at (x, y), in the order they are said; `px` is the em.

    `rtl`: the text they belong to runs from right to left.
    """

    x: float
    y: float
    px: float
    start: float
    end: float
    words: tuple[CaptionWord, ...]
    rtl: bool = False

    @property
    def width(self) -> float:
        """From the left end of the leftmost word to the right end of the rightmost, in pixels."""
        left = min(word.x - word.width / 2 for word in self.words)
        return max(word.x + word.width / 2 for word in self.words) - left


@dataclass(frozen=True)
class Voice:
    """The sound of one scene and when it starts, in seconds."""

    path: str
    start: float
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """The whole film; places of text are in pixels of the `canvas`, where that is not the picture's own size."""

    width: int
    height: int
    fps: int
    frames: int
    style: str
    shots: tuple[Shot, ...]
    cuts: tuple[Cut, ...]
    labels: tuple[Label, ...]
    shapes: tuple[Shape, ...]
    pages: tuple[CaptionPage, ...]
    voices: tuple[Voice, ...]
    music: str | None
    seed: int
    brand_color: str = ""
    wardrobe: Wardrobe = NOTHING
    music_path: str = ""
    canvas: tuple[int, int] | None = None

    @property
    def seconds(self) -> float:
        """Length of the film, exactly frames / fps."""
        return self.frames / self.fps

    def to_json(self) -> str:
        """The film as JSON, for golden tests and curious readers."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, default=list)

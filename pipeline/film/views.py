"""One scene as its drawing sees it: the job, the look, the picture's facts, and its place in time."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.film.layout import Stage
from pipeline.film.render_job import RenderJob
from pipeline.film.script import Scene
from pipeline.film.theme import Theme
from pipeline.film.timeline import Label, Shape, Shot

SMALL_PIXELS, EXTREME_RATIO = 300, 3.2
WHITE = "#FFFFFF"


@dataclass(frozen=True)
class Extract:
    """What the plan must know of a scene's picture: its file, size in pixels, kind, and a digest to find repeats."""

    path: str
    width: int
    height: int
    source: str
    digest: str
    busy: tuple[float, ...] = ()  # how much there is to see in each row of its height, 48 of them

    @property
    def contained(self) -> bool:
        """Small, extreme or cut-out pictures are shown whole on a ground; they are never blown up or cropped."""
        small = min(self.width, self.height) < SMALL_PIXELS
        extreme = max(self.width / self.height, self.height / self.width) > EXTREME_RATIO
        return small or extreme or self.source == "cutout"


@dataclass(frozen=True)
class Logo:
    """The brand's logo: its file, size in pixels, and how light it is (None for one with a ground of its own)."""

    path: str
    width: int
    height: int
    light: float | None


@dataclass(frozen=True)
class SceneView:
    """Everything one scene's drawing depends on. `opens` and `closes` bound its text, in seconds."""

    job: RenderJob
    theme: Theme
    stage: Stage
    at: int
    scene: Scene
    extract: Extract | None
    repeat: int
    opens: float
    closes: float
    frames: tuple[int, int]
    logo: Logo | None = None

    @property
    def photo(self) -> Extract | None:
        """The scene's picture when it is a still of the product (no generated art, no clip)."""
        return self.extract if self.extract and self.extract.source not in {"art", "clip"} else None

    @property
    def moves(self) -> bool:
        """Whether a vendor's clip fills the frame; it is darkened at top and bottom, and text on it is white."""
        return self.extract is not None and self.extract.source == "clip"

    @property
    def ink(self) -> str:
        """The colour of text on the scene's own ground."""
        return WHITE if self.moves else self.theme.ink


@dataclass(frozen=True)
class Drawn:
    """One scene, drawn; captions stand in the middle of the frame unless `caption_x` says where."""

    shot: Shot
    labels: tuple[Label, ...]
    shapes: tuple[Shape, ...] = ()
    caption_x: float = 0.0

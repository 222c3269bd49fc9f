"""The film engine as a provider: with no hosted picture generator the user's own photos are what is shown."""

from __future__ import annotations

from importlib.util import find_spec
from typing import ClassVar

from pipeline.providers.base import Capability


class LocalFilm:
    """The name `local` of the capability `film`; the engine itself is pipeline/film."""

    name: ClassVar[str] = "local"
    capability: ClassVar[Capability] = "film"
    version: ClassVar[str] = "1"
    hosted: ClassVar[bool] = False

    def available(self) -> str | None:
        """None when OpenCV is installed."""
        return None if find_spec("cv2") else "opencv-python-headless is not installed."

    def close(self) -> None:
        """Nothing is held open."""

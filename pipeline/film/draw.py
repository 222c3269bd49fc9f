"""A scene -> its shot, labels and shapes, by the file of its kind in `scenes/`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from pipeline.film.script import SCENE_KINDS
from pipeline.film.views import Drawn, SceneView

KINDS: dict[str, Callable[[SceneView], Drawn]] = {
    kind: import_module(f"pipeline.film.scenes.{kind}").draw for kind in SCENE_KINDS
}


def draw(view: SceneView) -> Drawn:
    """The scene's shot, labels and shapes."""
    return KINDS[view.scene.kind](view)

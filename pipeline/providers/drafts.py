"""A script before its scenes have their places and pictures, whoever has written them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.film.script import Scene, SceneKind, Script
from pipeline.providers.base import Brief

# What a film adds to its speech: before it, after it, and between two scenes.
LEAD_SECONDS, TAIL_SECONDS, GAP_SECONDS = 0.4, 0.8, 0.35
# A photo would only stand behind their words.
WORDS_ALONE = {"quote", "stat"}


@dataclass(frozen=True)
class Draft:
    """A scene before it has a place and a picture."""

    kind: SceneKind
    narration: str
    headline: str
    kicker: str = ""
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    stars: int = 0
    subtitle: str = ""


def script_of(
    brief: Brief,
    drafts: Sequence[Draft],
    *,
    provider: str,
    openings: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> Script:
    """The drafts as the script of a film; `openings` are other narrations of its first scene."""
    pictured = [index for index, draft in enumerate(drafts) if draft.kind not in WORDS_ALONE]
    places = {index: _image(at, len(pictured), brief.images) for at, index in enumerate(pictured)}
    scenes = tuple(
        Scene(
            index=index,
            kind=draft.kind,
            narration=draft.narration,
            headline=draft.headline,
            kicker=draft.kicker,
            lines=draft.lines,
            stars=draft.stars,
            subtitle=draft.subtitle,
            image=places.get(index),
        )
        for index, draft in enumerate(drafts)
    )
    others = tuple(
        scenes[0].model_copy(update={"index": len(scenes) + number, "narration": narration})
        for number, narration in enumerate(openings)
    )
    return Script(
        style=brief.style,
        language=brief.language,
        scenes=scenes,
        openings=others,
        provider=provider,
        left_out=tuple(left_out),
    )


def _image(index: int, scenes: int, images: int) -> int | None:
    """Which image a scene shows: all of them in order when there are enough scenes, else spread over them."""
    if images <= 0:
        return None
    return index * images // scenes if images >= scenes else index % images

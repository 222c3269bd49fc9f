"""The user's own words as a script: kinds, headlines and images where they give none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.film.script import Scene, SceneKind, Script
from pipeline.providers.base import Brief
from pipeline.providers.grammar import short_headline
from pipeline.providers.local_writer import image_of


def own_script(brief: Brief, given: Sequence[Any]) -> Script:
    """`given`: scenes with narration, kind, headline, kicker and lines (pipeline/catalog/product_video.py)."""
    scenes = tuple(
        Scene(
            index=index,
            kind=(kind := one.kind or _kind(index, len(given), has_lines=bool(one.lines))),
            narration=one.narration,
            headline=one.headline or _headline(brief, kind, one.narration),
            kicker=one.kicker,
            lines=one.lines,
            image=image_of(index, len(given), brief.images),
        )
        for index, one in enumerate(given)
    )
    return Script(style=brief.style, language=brief.language, scenes=scenes, provider="own")


def _kind(index: int, count: int, *, has_lines: bool) -> SceneKind:
    if has_lines:
        return "features"
    if index == 0:
        return "hero"
    return "cta" if index == count - 1 else "benefit"


def _headline(brief: Brief, kind: SceneKind, narration: str) -> str:
    own = {"hero": brief.product_name, "cta": brief.cta_text or brief.product_name, "price": brief.price}
    return own.get(kind) or short_headline(narration)

"""The user's own words as a script: kinds, headlines and images where they give none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.film.script import SceneKind, Script
from pipeline.providers.base import Brief
from pipeline.providers.drafts import Draft, script_of
from pipeline.providers.grammar import short_headline
from pipeline.providers.prose import without_markup


def own_script(brief: Brief, given: Sequence[Any]) -> Script:
    """`given`: scenes with narration, kind, headline, kicker and lines (pipeline/catalog/product_video.py)."""
    brief = without_markup(brief)
    return script_of(brief, [_draft(brief, one, at, len(given)) for at, one in enumerate(given)], provider="own")


def _draft(brief: Brief, one: Any, at: int, count: int) -> Draft:
    kind = one.kind or _kind(at, count, has_lines=bool(one.lines))
    return Draft(
        kind,
        one.narration,
        one.headline or _headline(brief, kind, one.narration),
        one.kicker,
        one.lines,
        stars=one.stars,
        subtitle=one.subtitle,
    )


def _kind(index: int, count: int, *, has_lines: bool) -> SceneKind:
    if has_lines:
        return "features"
    if index == 0:
        return "hero"
    return "cta" if index == count - 1 else "benefit"


def _headline(brief: Brief, kind: SceneKind, narration: str) -> str:
    own = {
        "quote": narration,
        "hero": brief.product_name,
        "cta": brief.cta_text or brief.product_name,
        "price": brief.price,
    }
    return own.get(kind) or short_headline(narration)

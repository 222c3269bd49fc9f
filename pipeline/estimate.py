"""What a job would cost, stage by stage, asked of the providers that it would use; nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pipeline.catalog.base import Pipeline, validate_payload
from pipeline.providers import registry
from pipeline.providers.base import Brief, ClipOrder, Estimate
from pipeline.providers.pronounce import sent
from pipeline.providers.script_question import LONGEST, MOST
from pipeline.stage import find_stage, plan_steps
from settings import get_settings

# Characters of narration a second of film, and seconds a scene: what a script comes to before there is one.
CHARACTERS_A_SECOND = 14.0
SECONDS_A_SCENE, SHORT_SCENE_SECONDS = 4.0, 2.0


def estimate(pipeline: Pipeline, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """{stage, capability, provider, likely_usd, most_usd} of each call of a stage to a provider, tries that fail aside."""
    checked = validate_payload(pipeline, payload)
    settings, found = get_settings(), []
    language = str(getattr(checked, "language", "en"))
    for step in plan_steps(pipeline, checked):
        for capability in find_stage(step.stage).capabilities():
            kind = cast("Any", capability)
            name = registry.resolve(kind, registry.wanted(capability, settings), settings, language=language)
            price = _ask(capability, registry.get(kind, name), checked)
            row = {"stage": step.name, "capability": capability, "provider": name}
            found.append(row | {"likely_usd": price.likely_usd, "most_usd": price.most_usd})
    return found


def _ask(capability: str, provider: Any, payload: Any) -> Estimate:
    ways: dict[str, Callable[[Any, Any], Estimate]] = {
        "write": _script,
        "moderate": _verdicts,
        "speak": _voice,
        "film": _clips,
    }
    way = ways.get(capability)
    return way(provider, payload) if way and hasattr(provider, "estimate") else Estimate()


def _script(provider: Any, payload: Any) -> Estimate:
    subtitles = _subtitles(provider, payload)
    if payload.script:
        return subtitles
    found: Estimate = provider.estimate(Brief.of(payload))
    return found + subtitles


def _subtitles(provider: Any, payload: Any) -> Estimate:
    """Of the narrations that need a translation."""
    if not payload.subtitle_language or not provider.hosted:
        return Estimate()
    bare = " ".join(scene.narration for scene in payload.script if not scene.subtitle)
    text = bare if payload.script else _narration(payload.duration_seconds)
    if not text:
        return Estimate()
    found: Estimate = provider.translate_estimate(text, payload.language, payload.subtitle_language)
    return found


def _verdicts(provider: Any, payload: Any) -> Estimate:
    """One on what was typed, one on what was written of it."""
    found: Estimate = provider.estimate({"payload": payload.model_dump_json()})
    return found if payload.script else found + provider.estimate({"script": _narration(payload.duration_seconds)})


def _voice(provider: Any, payload: Any) -> Estimate:
    if payload.mute or payload.voice_file is not None:
        return Estimate()
    if payload.script:
        return sum(
            (provider.estimate(sent(scene.narration, payload.pronounce)) for scene in payload.script), Estimate()
        )
    likely = provider.estimate(_narration(payload.duration_seconds)).likely_usd
    return Estimate(likely, provider.estimate(_narration(LONGEST * payload.duration_seconds)).most_usd)


def _narration(seconds: float) -> str:
    return "x" * round(CHARACTERS_A_SECOND * seconds)


def _clips(provider: Any, payload: Any) -> Estimate:
    """A clip a scene, from a picture where there is one."""
    scenes = [len(one.narration) / CHARACTERS_A_SECOND for one in payload.script]
    likely = scenes or [SECONDS_A_SCENE] * max(1, round(payload.duration_seconds / SECONDS_A_SCENE))
    most = scenes or [SECONDS_A_SCENE] * min(MOST, round(LONGEST * payload.duration_seconds / SHORT_SCENE_SECONDS))
    return Estimate(
        sum(_clip(provider, payload, seconds).likely_usd for seconds in likely),
        sum(_clip(provider, payload, seconds).most_usd for seconds in most),
    )


def _clip(provider: Any, payload: Any, seconds: float) -> Estimate:
    still = Path("still.png") if payload.images else None
    found: Estimate = provider.estimate(ClipOrder(prompt="", aspect=payload.shapes[0], seconds=seconds, image=still))
    return found

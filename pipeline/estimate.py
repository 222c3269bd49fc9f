"""What a job would cost, stage by stage, asked of the providers that it would use; nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pipeline.catalog.base import Pipeline, validate_payload
from pipeline.providers import registry
from pipeline.providers.base import Brief, ClipOrder, Estimate
from pipeline.stage import find_stage, plan_steps
from settings import get_settings

# Characters of narration a second of film, and seconds a scene: what a script comes to before there is one.
CHARACTERS_A_SECOND = 14.0
SECONDS_A_SCENE = 4.0


def estimate(pipeline: Pipeline, payload: dict[str, Any]) -> list[dict[str, Any]]:
    """{stage, provider, likely_usd, most_usd} of each stage that calls a provider."""
    checked = validate_payload(pipeline, payload)
    settings, found = get_settings(), []
    language = str(getattr(checked, "language", "en"))
    for step in plan_steps(pipeline, checked):
        stage = find_stage(step.stage)
        if stage.capability is None:
            continue
        capability = cast("Any", stage.capability)
        name = registry.resolve(capability, registry.wanted(capability, settings), settings, language=language)
        price = _ask(stage.capability, registry.get(capability, name), checked)
        found.append({"stage": step.name, "provider": name, "likely_usd": price.likely_usd, "most_usd": price.most_usd})
    return found


def _ask(capability: str, provider: Any, payload: Any) -> Estimate:
    ways: dict[str, Callable[[Any, Any], Estimate]] = {"write": _script, "speak": _voice, "film": _clips}
    way = ways.get(capability)
    return way(provider, payload) if way and hasattr(provider, "estimate") else Estimate()


def _script(provider: Any, payload: Any) -> Estimate:
    fields = Brief.__dataclass_fields__
    facts = {name: getattr(payload, name) for name in fields if name != "images" and hasattr(payload, name)}
    found: Estimate = provider.estimate(Brief(**facts, images=len(payload.images)))
    return found


def _voice(provider: Any, payload: Any) -> Estimate:
    found: Estimate = provider.estimate("x" * round(CHARACTERS_A_SECOND * payload.duration_seconds))
    return found


def _clips(provider: Any, payload: Any) -> Estimate:
    scenes = max(1, round(payload.duration_seconds / SECONDS_A_SCENE))
    one = provider.estimate(ClipOrder(prompt="", aspect=payload.aspect, seconds=SECONDS_A_SCENE))
    return Estimate(one.likely_usd * scenes, one.most_usd * scenes)

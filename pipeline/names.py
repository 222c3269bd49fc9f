"""Settings that name a provider or a stage, checked where a program starts."""

from __future__ import annotations

from errors import InvalidInput
from pipeline.catalog.base import pipelines
from pipeline.catalog.complaints import nearest
from pipeline.providers import registry
from pipeline.stage import stages
from settings import Settings


def check_names(settings: Settings) -> None:
    """Refuse settings that name a provider or a stage that does not exist."""
    for capability, setting in registry.SETTING.items():
        wanted = getattr(settings, setting.lower())
        known = {"auto", "local", *registry.names(capability)}
        if wanted not in known:
            raise InvalidInput(f"{setting}={wanted!r} is unknown{nearest(wanted, known)}")
    steps = set(stages()) | {step for pipeline in pipelines().values() for step in pipeline.stages}
    for stage in settings.stage_queues:
        if stage not in steps:
            raise InvalidInput(f"STAGE_QUEUES: stage {stage!r} is unknown{nearest(stage, steps)}")

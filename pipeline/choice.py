"""Which provider a step uses: the one that its job has kept, or the next one when that is down and the job allows it."""

from __future__ import annotations

from typing import cast

import structlog

from pipeline.catalog.base import Step
from pipeline.providers import registry
from pipeline.providers.base import Capability
from pipeline.run import Run
from pipeline.stage import Stage

log = structlog.get_logger()


def choose_providers(run: Run) -> dict[str, str]:
    """`auto` is resolved once, at the first begin, and kept: another host makes the same film.

    A replay that goes further than its first job chooses for the further stages only.
    """
    known = run.job.providers or {}
    missing = {find for step in run.steps for find in run.stage_of(step).capabilities()} - known.keys()
    if not missing:
        return known
    language = str(getattr(run.payload, "language", "en"))
    chosen = known | {
        capability: registry.resolve(
            cast("Capability", capability), registry.wanted(capability, run.settings), run.settings, language=language
        )
        for capability in sorted(missing)
    }
    run.writes.keep_providers(run.holder, chosen)
    return chosen


def provider_of(run: Run, step: Step, stage: Stage) -> str | None:
    """The provider of a step for this run. It is one for all its items: a film does not change its voice in the middle."""
    if stage.capability is None:
        return None
    kept = run.providers[stage.capability]
    following = next_provider(run, stage, kept)
    if following is None or not (_is_last_try(run, step) or _is_out_of_order(run, stage.capability, kept)):
        return kept
    log.warning("provider_switched", capability=stage.capability, provider=following, instead_of=kept)
    run.known.forget_made_by_others(step.name, following)
    return following


def helper_of(run: Run, capability: str) -> str:
    """The provider of what a stage uses beside its own: the next one while the job's is down and the job allows it."""
    kept = run.providers[capability]
    following = _next(run, capability, kept)
    return following if following is not None and _is_out_of_order(run, capability, kept) else kept


def next_provider(run: Run, stage: Stage, name: str | None) -> str | None:
    """Who could do the work of this stage when `name` is down; None when nobody may."""
    return None if stage.capability is None or name is None else _next(run, stage.capability, name)


def _next(run: Run, capability: str, name: str) -> str | None:
    if not getattr(run.payload, "fallback", False):
        return None
    language = str(getattr(run.payload, "language", "en"))
    return registry.fallback(cast("Capability", capability), name, run.settings, language=language)


def _is_last_try(run: Run, step: Step) -> bool:
    """Whether one more failure of this step would end its job."""
    policy, settings = run.pipeline.policy, run.settings
    allowed = settings.max_retries if policy.max_retries is None else policy.max_retries
    return run.known.most_attempts(step.name) >= max(1, allowed)


def _is_out_of_order(run: Run, capability: str, name: str) -> bool:
    """Whether the breaker of a provider is open."""
    gate = getattr(registry.get(cast("Capability", capability), name), "gate", None)
    return gate is not None and run.gates.is_open(gate.name)

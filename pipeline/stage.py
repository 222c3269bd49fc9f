"""`@stage`, its options, and the scan of `pipeline/stages/` that finds every stage."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter
from sqlalchemy import Connection

from errors import InvalidInput
from pipeline.catalog.base import Pipeline, Step
from pipeline.catalog.complaints import nearest
from settings import Settings, get_settings

F = TypeVar("F", bound=Callable[..., Any])
_registry: dict[str, Stage] = {}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage as it was declared. `each` names the field whose elements are its items."""

    name: str
    function: Callable[..., Any]
    result: TypeAdapter[Any]
    needs: tuple[str, ...] = ()
    each: str | None = None
    capability: str | None = None
    weight: float = 1.0
    queue: str | None = None
    soft_seconds: float | None = None
    hard_seconds: float | None = None
    cache: bool = False
    reads: tuple[str, ...] | None = None
    version: str = "1"
    commit: Callable[[Connection, Any], None] | None = None
    uses: tuple[str, ...] = ()
    narrow: Callable[[Any, dict[str, Any]], dict[str, Any]] | None = None
    at_once: Callable[[Any, Any, Settings], int] | None = None

    def capabilities(self) -> tuple[str, ...]:
        """What providers it calls."""
        return (*((self.capability,) if self.capability else ()), *self.uses)


def stage(
    name: str,
    *,
    needs: tuple[str, ...] = (),
    each: str | None = None,
    capability: str | None = None,
    weight: float = 1.0,
    queue: str | None = None,
    soft_seconds: float | None = None,
    hard_seconds: float | None = None,
    cache: bool = False,
    reads: tuple[str, ...] | None = None,
    version: str = "1",
    commit: Callable[[Connection, Any], None] | None = None,
    uses: tuple[str, ...] = (),
    narrow: Callable[[Any, dict[str, Any]], dict[str, Any]] | None = None,
    at_once: Callable[[Any, Any, Settings], int] | None = None,
) -> Callable[[F], F]:
    """Declare a stage.

    `needs`: stages whose results it takes. `each`: it runs once per element of this field of its payload or
    of a result it needs. `capability`: what provider it calls (`uses`: what others, which
    have no part in the choice of its results). `weight`: its share of the progress.
    `queue`: where it runs, if not in the pipeline's queue. `cache`: an equal stage of the same tenant may be
    reused; then `reads` must list the payload fields it sees, and `version` must rise when its work changes.
    `narrow(item, fields)`: what one item sees of those fields, when a part of them is enough.
    `at_once(payload, provider, settings)`: how many items run side by side (without it: one).
    `commit(connection, result)` runs inside the checkpoint's own fenced commit.
    """
    if cache and reads is None:
        raise TypeError(f"stage {name}: cache=True needs reads=(...), the payload fields its result depends on")

    def declare(function: F) -> F:
        result = TypeAdapter(get_type_hints(function)["return"])
        _registry[name] = Stage(
            name,
            function,
            result,
            needs,
            each,
            capability,
            weight,
            queue,
            soft_seconds,
            hard_seconds,
            cache,
            reads,
            version,
            commit,
            uses,
            narrow,
            at_once,
        )
        return function

    return declare


@cache
def stages() -> dict[str, Stage]:
    """Every stage of the folder, by name."""
    folder = Path(__file__).parent / "stages"
    for module in pkgutil.iter_modules([str(folder)]):
        importlib.import_module(f"pipeline.stages.{module.name}")
    return dict(sorted(_registry.items()))


def find_stage(name: str) -> Stage:
    """The stage of this name; InvalidInput with the nearest name when there is none."""
    known = stages()
    if name not in known:
        raise InvalidInput(f"stage={name!r} is unknown{nearest(name, known)}")
    return known[name]


def plan_steps(pipeline: Pipeline, payload: Any) -> tuple[Step, ...]:
    """The steps of one job, each after what it needs; those that its `stop_after` does not need are left out."""
    if pipeline.steps:
        return pipeline.steps(payload)
    declared = [find_stage(name) for name in pipeline.stages]
    wanted = {getattr(payload, "stop_after", None) or pipeline.stages[-1]}
    for one in reversed(declared):  # each stands after what it needs
        wanted |= set(one.needs) if one.name in wanted else set()
    return tuple(Step(one.name, one.name, one.needs, one.weight, one.queue) for one in declared if one.name in wanted)


def queue_of(step: Step, home: str) -> str:
    """The queue that a step runs in: STAGE_QUEUES, its own, or the job's home."""
    return get_settings().stage_queues.get(step.name) or step.queue or home

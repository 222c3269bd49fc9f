"""What a pipeline is: its payload, its stages, its queue and policy. One file a family beside this one.

This room is the bottom of the pipelines: the queue's door validates payloads with it and imports no stage.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from errors import InvalidInput
from pipeline.catalog.complaints import complaint, nearest
from settings import get_settings


class Payload(BaseModel):
    """The root of all payload models: unknown fields are refused where they are typed."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class PaidPayload(Payload):
    """The payload of a pipeline that may call vendors: what it may cost, and what happens when that is not enough."""

    max_cost_usd: float | None = Field(
        None, ge=0, le=10_000, description="the most the job may cost; else BUDGET_JOB_USD"
    )
    over_budget: Literal["fail", "wait"] = Field("fail", description="when a call does not fit the budget")
    fallback: bool = Field(False, description="take the next provider of a kind when one is down")


def _https(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError("write a path under INPUT_ROOTS, or an https:// address")
    return value


HttpsUrl = Annotated[str, AfterValidator(_https)]


def like(pattern: str, example: str) -> AfterValidator:
    """What matches, or nothing; else a sentence that a person understands."""

    def checked(value: str) -> str:
        if value and not re.fullmatch(pattern, value):
            raise ValueError(f"should be {example}")
        return value

    return AfterValidator(checked)


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of one job: `name` in the records, `stage` the function that does it."""

    name: str
    stage: str
    needs: tuple[str, ...]
    weight: float
    queue: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a pipeline is; what is None follows the settings."""

    max_retries: int | None = None  # MAX_RETRIES
    retry_seconds: tuple[float, ...] = ()  # the waits before each retry, the last one repeated; else RETRY_BASE_SECONDS
    soft_seconds: float | None = None  # of the whole job: TASK_SOFT_TIME_LIMIT
    hard_seconds: float | None = None  # of the whole job: TASK_TIME_LIMIT
    keep_completed_seconds: float = 24 * 3600.0
    keep_failed_seconds: float = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A named graph of stages. `steps` replaces the plain list when the graph depends on the payload."""

    name: str
    title: str
    payload: type[Payload]
    stages: tuple[str, ...]
    queue: str | None = None  # the default queue when not named
    only_when_named: bool = False  # a worker without --queues leaves its queue alone
    file_fields: tuple[str, ...] = ()  # fields whose paths become artifacts at the door: lists of pictures and films
    still_fields: tuple[str, ...] = ()  # fields of one picture each
    sound_fields: tuple[str, ...] = ()  # and of one sound each
    check: Callable[[Any], None] | None = None  # what a payload needs of this machine; raises Permanent
    steps: Callable[[Any], tuple[Step, ...]] | None = None
    queues: tuple[str, ...] = ()  # further queues its steps may name
    groups: tuple[str, ...] = ()  # whose limits its jobs heed, beside those of their queue, pipeline and tenant
    policy: Policy = field(default_factory=Policy)

    def default_queue(self) -> str:
        """Where its jobs stand unless somebody says otherwise."""
        return self.queue or get_settings().queue_namespace

    @property
    def uploads(self) -> tuple[str, ...]:
        """Every field that names files."""
        return (*self.file_fields, *self.still_fields, *self.sound_fields)

    def record(self) -> dict[str, Any]:
        """What programs are told of it."""
        return {
            "name": self.name,
            "title": self.title,
            "queue": self.default_queue(),
            "only_when_named": self.only_when_named,
            "stages": list(self.stages),
            "schema": self.payload.model_json_schema(),
        }


@cache
def pipelines() -> dict[str, Pipeline]:
    """Every pipeline of this folder, by name."""
    found: dict[str, Pipeline] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        loaded = importlib.import_module(f"pipeline.catalog.{module.name}")
        for pipeline in getattr(loaded, "PIPELINES", ()):
            found[pipeline.name] = pipeline
    return dict(sorted(found.items()))


def find_pipeline(name: str) -> Pipeline:
    """The pipeline of this name; InvalidInput with the nearest name when there is none."""
    known = pipelines()
    if name in known:
        return known[name]
    raise InvalidInput(f"pipeline={name!r} is unknown{nearest(name, known)}")


def declared_queues() -> dict[str, bool]:
    """Every queue that a pipeline or STAGE_QUEUES names -> whether it is served only when named."""
    found: dict[str, bool] = {get_settings().queue_namespace: False}
    for pipeline in pipelines().values():
        for queue in (pipeline.default_queue(), *pipeline.queues):
            found[queue] = found.get(queue, True) and pipeline.only_when_named
    for queue in get_settings().stage_queues.values():
        found.setdefault(queue, False)
    return found


def validate_payload(pipeline: Pipeline, data: dict[str, Any]) -> Payload:
    """The payload as its model; InvalidInput with one sentence: the field, the value, what would be right."""
    try:
        return pipeline.payload.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(complaint(pipeline.name, pipeline.payload, error.errors(include_url=False))) from None


def check_partly(pipeline: Pipeline, data: dict[str, Any], later: Collection[str]) -> None:
    """Check a payload of which some fields are filled in later; InvalidInput for the others."""
    try:
        pipeline.payload.model_validate(data)
    except ValidationError as error:
        wrong = [one for one in error.errors(include_url=False) if not (one["loc"] and one["loc"][0] in later)]
        if wrong:
            raise InvalidInput(complaint(pipeline.name, pipeline.payload, wrong)) from None


def plan_first(pipeline: Pipeline, payload: Any, queue: str | None) -> tuple[str, str]:
    """(name of the first step, queue the job starts in), without importing any stage."""
    home = queue or pipeline.default_queue()
    name, own = pipeline.stages[0], None
    if pipeline.steps:
        first = pipeline.steps(payload)[0]
        name, own = first.name, first.queue
    return name, get_settings().stage_queues.get(name) or own or home

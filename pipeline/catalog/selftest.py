"""`selftest`: the whole machinery without media, for people who deploy. Never cached."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.catalog.base import Payload, Pipeline, Step

SECOND_QUEUE = "selftest-queue"


class SelftestPayload(Payload):
    """What the test job does: so many stages and items, so long, so many bytes; and where it breaks."""

    stages: int = Field(1, ge=1, le=50, description="stages, one after the other")
    items: int = Field(0, ge=0, le=1000, description="items of each stage, each with its own checkpoint; 0: none")
    items_at_once: int = Field(1, ge=1, le=16, description="how many items of a stage run side by side")
    seconds: float = Field(0, ge=0, le=86_400, description="how long each stage, or item, sleeps")
    bytes: int = Field(0, ge=0, le=1 << 30, description="size of an artifact that each stage, or item, makes")
    branches: int = Field(1, ge=1, le=16, description="how many stages run side by side before they join in the last")
    fail_at: int = Field(0, ge=0, le=50, description="the stage whose tries fail; 0: none")
    fail_times: int = Field(1_000_000, ge=1, description="how many tries fail before one succeeds")
    fail_kind: str = Field("transient", pattern="^(transient|permanent|bug|host)$")
    crash_at: int = Field(0, ge=0, le=50, description="the stage in which the worker's process dies; 0: none")
    ignore_limits_at: int = Field(0, ge=0, le=50, description="the stage that looks neither at limits nor at signals")
    children: int = Field(0, ge=0, le=1000, description="selftest jobs of one stage that a stage starts and waits for")
    children_at: int = Field(1, ge=1, le=50, description="the stage that does")
    child_fails: int = Field(0, ge=0, le=1000, description="how many of them fail")
    child_edge: Literal["fail", "skip", "wait"] = Field("fail", description="what a failed one does to this job")
    two_queues: bool = Field(False, description=f"every second stage runs in {SECOND_QUEUE}")
    stage_seconds: float = Field(0, ge=0, le=86_400, description="the soft time limit of each stage; 0: the default")
    label: str = Field("", max_length=200)

    @model_validator(mode="after")
    def _within(self) -> Self:
        for name in ("fail_at", "crash_at", "ignore_limits_at", "children_at"):
            if getattr(self, name) > self.stages:
                raise ValueError(f"{name}={getattr(self, name)} is past the last of {self.stages} stages")
        return self


def steps(payload: SelftestPayload) -> tuple[Step, ...]:
    """A line of stages; with branches, all but the last run side by side, `branches` at a time."""
    found: list[Step] = []
    for number in range(1, payload.stages + 1):
        needs: tuple[str, ...]
        if payload.branches == 1:
            needs = (f"step_{number - 1}",) if number > 1 else ()
        elif number == payload.stages:
            needs = tuple(step.name for step in found)
        else:
            needs = (f"step_{number - payload.branches}",) if number > payload.branches else ()
        queue = SECOND_QUEUE if payload.two_queues and number % 2 == 0 else None
        options = {"number": number}
        found.append(Step(f"step_{number}", "selftest_step", needs, 1, queue, options))
    return tuple(found)


PIPELINES = (
    Pipeline(
        name="selftest",
        title="the whole machinery, no media",
        payload=SelftestPayload,
        stages=("selftest_step",),
        steps=steps,
        queues=(SECOND_QUEUE,),
    ),
)

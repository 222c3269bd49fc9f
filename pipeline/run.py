"""What one run of one job works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from artifacts import LocalStore
from database.fenced import FencedWrites
from database.records import Holder, JobRecord
from pipeline.catalog.base import Pipeline, Step
from pipeline.checkpoints import Known
from pipeline.family import Family
from pipeline.gates import Gates
from pipeline.progress import ProgressMeter
from pipeline.stage import Stage, find_stage
from pipeline.stop import StopSignal
from settings import Settings


@dataclass
class Run:
    """One job under one claim."""

    job: JobRecord
    holder: Holder
    stop: StopSignal
    writes: FencedWrites
    store: LocalStore
    settings: Settings
    queue: str | None  # the queue it was claimed from; None: eager, every queue is ours
    pipeline: Pipeline
    payload: Any
    steps: tuple[Step, ...]
    known: Known
    meter: ProgressMeter
    family: Family
    gates: Gates
    providers: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, str | None] = field(default_factory=dict)  # provider of each step in this run

    def stage_of(self, step: Step) -> Stage:
        """What does a step."""
        return find_stage(step.stage)

"""What is already done of a job, and what an equal stage of another job has done."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from artifacts import LocalStore, artifacts_in
from database.engine import Database
from database.jobs import find_reusable, find_stages
from database.records import JobRecord
from pipeline.catalog.base import Step
from pipeline.stage import Stage, find_stage
from states import StageStatus


@dataclass
class Known:
    """Results by step and item, and the failed tries so far."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def has(self, step: str, item: str) -> bool:
        """Whether this item is done."""
        return item in self.results.get(step, {})

    def put(self, step: str, item: str, result: Any) -> None:
        """Note the result of an item."""
        with self.lock:
            self.results.setdefault(step, {})[item] = result

    def attempts(self, step: str, item: str) -> int:
        """How often this item has failed."""
        return self.failures.get((step, item), 0)

    def most_attempts(self, step: str) -> int:
        """How often the item of a step that failed most has failed."""
        return max((count for (name, _), count in self.failures.items() if name == step), default=0)

    def forget_made_by_others(self, step: str, provider: str) -> None:
        """Items that another provider has made are made anew."""
        with self.lock:
            found = self.results.get(step, {})
            for item in [key for key, one in found.items() if getattr(one, "provider", provider) != provider]:
                del found[item]

    def is_done(self, step: Step) -> bool:
        """Whether a step is done; one with items is done when a run has seen all of them done."""
        if step.name in self.complete:
            return True
        return find_stage(step.stage).each is None and self.has(step.name, "")

    def finish(self, step: Step) -> None:
        """A step's items are all done."""
        self.complete.add(step.name)

    def result(self, step: str) -> Any:
        """The result of a step: its value, or the list of its items' values in order."""
        found = self.results.get(step, {})
        if list(found) == [""]:
            return found[""]
        return [found[item] for item in sorted(found, key=int)]

    def plain(self, step: Step) -> Any:
        """The result of a step as JSON."""
        value = self.result(step.name)
        return [_plain(one) for one in value] if isinstance(value, list) else _plain(value)


def load_known(database: Database, store: LocalStore, job: JobRecord, steps: Sequence[Step]) -> Known:
    """The checkpoints of a job that still hold: decodable by this version, every artifact there and whole."""
    known = Known()
    stages = {step.name: find_stage(step.stage) for step in steps}
    for row in find_stages(database, job.id):
        stage = stages.get(row["stage"])
        if stage is None:
            continue
        if row["status"] != StageStatus.COMPLETED:
            known.failures[row["stage"], row["item"]] = row["attempt"]
            continue
        result = _decode(stage, row["result"])
        if result is not None and all(store.holds(artifact) for artifact in artifacts_in(result)):
            known.put(row["stage"], row["item"], result)
    return known


def reuse(
    database: Database, store: LocalStore, tenant: str, key: str, stage: Stage
) -> tuple[Any, str, str | None] | None:
    """(result, job, provider) of an equal stage of this tenant whose files are still there."""
    found = find_reusable(database, tenant, key)
    if found is None:
        return None
    result = _decode(stage, found["result"])
    if result is None or not all(store.holds(artifact) for artifact in artifacts_in(result)):
        return None
    return result, str(found["job_id"]), found["provider"]


def cache_key(
    job: JobRecord, payload: Any, stage: Stage, version: str, provider: str | None, item: Any, known: Known, step: Step
) -> str | None:
    """A digest of everything the stage depends on; None when the job wants nothing reused."""
    if job.options.get("reuse") is False:
        return None
    reads = {name: _plain(getattr(payload, name)) for name in stage.reads or ()}
    if stage.narrow is not None:
        reads = stage.narrow(item, reads)
    if _names_an_address(reads):
        return None  # what stands at an address may be something else tomorrow
    parts = {
        "stage": stage.name,
        "version": version,
        "provider": provider,
        "reads": reads,
        "item": _plain(item),
        # An item's own element stands for the whole list it comes from.
        "needs": {} if stage.each else {name: _plain(known.result(name)) for name in step.needs},
    }
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=_plain)).hexdigest()


def _names_an_address(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("https://")
    if isinstance(value, dict):
        return any(_names_an_address(part) for part in value.values())
    return isinstance(value, list) and any(_names_an_address(part) for part in value)


def _decode(stage: Stage, value: Any) -> Any:
    try:
        return stage.result.validate_python(value, strict=False)
    except ValidationError:
        return None  # written by another version: the work is done again


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value

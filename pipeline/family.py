"""A stage starts other jobs and waits for them: what `context.spawn` and `context.join` do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from database.ending import EDGES
from database.engine import Database
from database.family import ChildRecord, find_children, spawn
from database.records import Holder, JobRecord
from errors import AwaitChildren, ChildFailed, InvalidInput
from redis_client.client import RedisClient
from states import ENDED, JobStatus

DEEPEST = 8
LONGEST_ID = 128


class ChildOptions(TypedDict, total=False):
    """How a child is run; what is missing is as for its parent (priority) or as always."""

    queue: str | None
    priority: str | int
    delay: float
    reuse: bool
    groups: Sequence[str]


@dataclass(frozen=True, slots=True)
class Child:
    """How a child ended."""

    job_id: str
    status: str
    result: Any
    error: str | None

    @property
    def completed(self) -> bool:
        """Whether there is a result."""
        return self.status == JobStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class Family:
    """One job under one claim, as the parent of others."""

    client: RedisClient
    database: Database
    holder: Holder
    job: JobRecord

    def of_stage(self, stage: str, item: str) -> Children:
        """The children of one stage, or of one item of it."""
        return Children(self, stage, item)


class Children:
    """The children that one try of one stage starts."""

    def __init__(self, family: Family, stage: str, item: str) -> None:
        self._family, self._stage, self._item = family, stage, item
        self._spawned: dict[str, None] = {}

    def spawn(self, pipeline: str, payload: dict[str, Any], *, key: str, on_failure: str, options: ChildOptions) -> str:
        """Store a child under the parent's fence and ring for it; what was started before is found again."""
        family, parent = self._family, self._family.job
        if on_failure not in EDGES:
            raise InvalidInput(f"on_failure={on_failure!r}: use {', '.join(EDGES)}")
        depth = int(parent.options.get("depth", 0)) + 1
        if depth > DEEPEST:
            raise InvalidInput(f"job {parent.id} stands {DEEPEST} parents deep: it must not start children of its own")
        child_id = self._child_id(key or str(len(self._spawned)))
        if child_id in self._spawned:
            raise InvalidInput(f"key={key!r}: this stage has started a child of that key already")
        job = family.client.prepare(
            child_id,
            payload,
            pipeline=pipeline,
            tenant=parent.tenant,
            queue=options.get("queue"),
            priority=options.get("priority", parent.priority),
            delay=options.get("delay", 0),
            reuse=options.get("reuse", True),
            groups=options.get("groups", ()),
        )
        child = replace(
            job,
            parent_id=parent.id,
            on_child_failure=on_failure,
            options=(job.options or {}) | {"depth": depth},
        )
        if spawn(family.database, family.holder, child):
            family.client.deliver([child])
        self._spawned[child_id] = None
        return child_id

    def join(self, job_ids: Sequence[str] = ()) -> list[Child]:
        """How they ended; AwaitChildren while one is open, ChildFailed when a failed one is this job's failure too."""
        found = {one.id: one for one in find_children(self._family.database, self._family.job.id)}
        wanted = job_ids or tuple(self._spawned)
        if unknown := [one for one in wanted if one not in found]:
            raise InvalidInput(f"job {unknown[0]!r} is no child of {self._family.job.id}")
        for child in found.values():
            if child.status in ENDED and child.status != JobStatus.COMPLETED and child.on_child_failure == "fail":
                raise ChildFailed(f"child {child.id} is {child.status}: {child.error or 'no reason was recorded'}")
        if not all(_is_over(found[one]) for one in wanted):
            raise AwaitChildren
        return [Child(one, found[one].status, found[one].result, found[one].error) for one in wanted]

    def _child_id(self, key: str) -> str:
        """The same for the same call of every try; short enough for an id."""
        parent = self._family.job.id
        name = ".".join(part for part in (parent, self._stage, self._item, key) if part)
        if len(name) <= LONGEST_ID:
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        return f"{parent[: LONGEST_ID - 25]}.{digest}"


def _is_over(child: ChildRecord) -> bool:
    """A dead child of the edge "wait" is not: a person retries it, or gives it up by cancelling it."""
    waits = child.on_child_failure == "wait" and child.status in {JobStatus.FAILED, JobStatus.QUARANTINED}
    return child.status in ENDED and not waits

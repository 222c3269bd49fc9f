"""Run a job again from one of its stages on, with other fields if wanted, as a new job beside the old one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from artifacts import Artifact, find_artifacts
from database.jobs import find_job, find_stages
from database.replays import insert_replay
from database.webhooks import receiver_of
from errors import InvalidInput, Taken
from pipeline.catalog.base import PaidPayload, Step, find_pipeline, validate_payload
from pipeline.catalog.complaints import nearest
from pipeline.stage import find_stage, plan_steps
from redis_client.client import RedisClient
from redis_client.door import EnqueueOptions

LONGEST_ID = 128
# Fields that say how a job runs; no result depends on them.
ABOUT_THE_RUN = frozenset({"stop_after", *PaidPayload.model_fields})


@dataclass(frozen=True, slots=True)
class Replay:
    """The new job; `kept` are the stages whose results it takes over, `outdated` those of them that read a changed field."""

    job_id: str
    kept: tuple[str, ...]
    outdated: tuple[str, ...]


def replay(
    client: RedisClient,
    job_id: str,
    *,
    from_stage: str,
    changes: dict[str, Any] | None = None,
    new_id: str | None = None,
    roots: tuple[Path, ...] | None = None,
) -> Replay:
    """Store a new job that reuses what an older one did before `from_stage`; `from_stage` and what needs it run anew.

    `changes`: fields of the payload that are different. Errors: UnknownJob; InvalidInput for a stage or field that
    the pipeline does not have.
    """
    old, changes = find_job(client.database, job_id), changes or {}
    new_id = new_id or f"{job_id[: LONGEST_ID - 8]}.{secrets.token_hex(3)}"
    options: EnqueueOptions = {
        "pipeline": old["pipeline"],
        "queue": old["options"].get("queue"),
        "priority": old["priority"],
        "tenant": old["tenant"],
        "groups": old["groups"] or (),
        "reuse": old["options"].get("reuse", True),
    }
    job = client.prepare(new_id, old["payload"] | changes, roots=roots, **options)
    pipeline = find_pipeline(old["pipeline"])
    steps = plan_steps(pipeline, validate_payload(pipeline, job.payload))
    kept = _before(steps, from_stage)
    job = replace(job, replay_of=job_id, replay_from=from_stage, webhook=receiver_of(client.database, job_id))
    results = [row["result"] for row in find_stages(client.database, job_id) if row["stage"] in kept]
    found = insert_replay(client.database, job, stages=kept, artifacts=_artifacts(results))
    if found is None:
        raise Taken(f"id={new_id!r} is taken; choose another id for the replay")
    client.deliver([job])
    names = {step.name: step.stage for step in steps}
    read = set(changes) - ABOUT_THE_RUN
    outdated = [name for name in found if read & _reads(names[name], read)]
    return Replay(new_id, tuple(found), tuple(outdated))


def _before(steps: tuple[Step, ...], from_stage: str) -> list[str]:
    """The steps that need neither `from_stage` nor anything after it."""
    names = [step.name for step in steps]
    if from_stage not in names:
        raise InvalidInput(f"stage={from_stage!r} is unknown{nearest(from_stage, names)}")
    after = {from_stage}
    for step in steps:  # each stands after what it needs
        if after.intersection(step.needs):
            after.add(step.name)
    return [name for name in names if name not in after]


def _reads(stage: str, changed: set[str]) -> set[str]:
    """The fields that a stage looks at; one that does not say may look at all of them."""
    reads = find_stage(stage).reads
    return changed if reads is None else set(reads)


def _artifacts(results: list[Any]) -> list[Artifact]:
    found = {one.sha256: one for result in results for one in find_artifacts(result)}
    return list(found.values())

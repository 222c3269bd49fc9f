"""Jobs over HTTP: stored, found, followed, cancelled, asked for again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response, status
from pydantic import Field

from api.access import Caller, Reader, Submitter
from api.fields import Body, JobId, Name, PageSize, Tenant
from api.files import check_owned
from api.paging import mark, read_mark
from database.charges import find_charges
from database.jobs import find_events, find_stages, list_dead, list_jobs
from errors import InvalidInput, QueueUnavailable, StagecrewError, Taken
from pipeline.replay import replay as replay_from
from redis_client import redis_client
from redis_client.door import EnqueueOptions
from redis_client.fleet import lines_of_job
from redis_client.why import why as find_reason
from states import JobStatus

PRIVATE = ("error_detail", "log_tail")
MOST_AT_ONCE = 1000
MOST_LOG_LINES = 200
router = APIRouter(tags=["jobs"])


class NewJob(Body):
    """A job as it is asked for."""

    pipeline: Name = "product_video"
    payload: dict[str, Any] = Field(default_factory=dict, description="the fields of the pipeline; see /pipelines")
    id: JobId | None = Field(None, description="made up when missing")
    tenant: Tenant | None = None
    queue: Name | None = None
    priority: str | int = Field("normal", description="high, normal, low, or 1 (low) to 5 (high)")
    delay: float = Field(0, ge=0, le=366 * 24 * 3600, allow_inf_nan=False, description="not before so many seconds")
    groups: list[Name] = Field(default_factory=list, max_length=32)
    reuse: bool = Field(True, description="reuse equal stages of earlier jobs")
    then: dict[str, Any] | None = Field(None, description="the job that follows: pipeline, payload, take ...")
    webhook: dict[str, Any] | None = Field(None, description="who is told of this job: url, and events")


class Replay(Body):
    """From which stage on a job is run anew, and what is different."""

    from_stage: Name = Field(alias="from")
    payload: dict[str, Any] = Field(default_factory=dict, description="fields that are different")
    id: JobId | None = None


class Chosen(Body):
    """Which jobs."""

    ids: list[JobId] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Several(Body):
    """Which jobs: these, or all dead ones that match."""

    ids: list[JobId] | None = Field(None, max_length=MOST_AT_ONCE)
    pipeline: Name | None = None
    tenant: Tenant | None = None


@router.post("/jobs", status_code=status.HTTP_202_ACCEPTED)
def submit(
    given: NewJob,
    caller: Submitter,
    request: Request,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> dict[str, Any]:
    """Store a job; it is safe once this answers.

    The same id (or the same Idempotency-Key) with the same payload is the same job; with another payload: 409.
    """
    tenant = caller.chosen_tenant(given.tenant)
    job_id = given.id or _id_of(tenant, given.pipeline, idempotency_key)
    check_owned(caller, [given.payload, given.then])
    options: EnqueueOptions = {
        "pipeline": given.pipeline,
        "queue": given.queue,
        "priority": given.priority,
        "delay": given.delay,
        "tenant": tenant,
        "reuse": given.reuse,
        "groups": given.groups,
        "then": given.then,
        "webhook": given.webhook,
    }
    try:
        # A path would be one of this machine, which whoever asks has no business with.
        is_new = redis_client.store(redis_client.prepare(job_id, given.payload, roots=(), **options))
    except Taken:
        if idempotency_key is None or given.id is not None:
            raise
        raise Taken(f"Idempotency-Key {idempotency_key!r} was used with another payload") from None
    if is_new:
        caller.wrote("submit", job_id, pipeline=given.pipeline)
    response.headers["Location"] = str(request.url_for("show", job_id=job_id).path)
    return redis_client.get_job_status(job_id)


@router.get("/jobs")
def index(
    caller: Reader,
    status: JobStatus | None = None,
    pipeline: Name | None = None,
    queue: Name | None = None,
    tenant: Tenant | None = None,
    parent: JobId | None = None,
    after: Annotated[str | None, Query(max_length=256, description="`next` of the page before")] = None,
    limit: PageSize = 50,
) -> dict[str, Any]:
    """The newest jobs that match, newest first; `next` is null on the last page."""
    return page_of_jobs(
        caller, tenant, after=after, limit=limit, status=status, pipeline=pipeline, queue=queue, parent=parent
    )


def page_of_jobs(
    caller: Caller, tenant: str | None, *, after: str | None, limit: int, **filters: str | None
) -> dict[str, Any]:
    """A page of the jobs that this caller may see."""
    wanted = {name: value for name, value in filters.items() if value is not None}
    rows = list_jobs(
        redis_client.database, tenant=caller.seen_tenant(tenant), after=read_mark(after), limit=limit + 1, **wanted
    )
    more = len(rows) > limit
    return {"jobs": [_named(row) for row in rows[:limit]], "next": mark(rows[limit - 1]) if more else None}


@router.get("/jobs/{job_id}", name="show")
def show(job_id: JobId, caller: Reader, debug: bool = False) -> dict[str, Any]:
    """Everything about a job: where it stands, its stages, events, charges; a traceback for admins with `debug`."""
    row = caller.job(job_id)
    redis_client.fetch(row)
    shows_all = debug and caller.may("admin")
    live = redis_client.get_job_status(job_id)
    return {
        "job_id": job_id,
        **{name: value for name, value in row.items() if shows_all or name not in PRIVATE},
        **{name: live[name] for name in ("progress", "stage")},
        "stages": find_stages(redis_client.database, job_id),
        "events": find_events(redis_client.database, job_id),
        "charges": [_charge(one) for one in find_charges(redis_client.database, job_id)],
    }


@router.get("/jobs/{job_id}/status")
def stand(job_id: JobId, caller: Reader) -> dict[str, Any]:
    """Where a job stands, in short."""
    redis_client.fetch(caller.job(job_id))
    return redis_client.get_job_status(job_id)


@router.get("/jobs/{job_id}/logs")
def logs(job_id: JobId, caller: Reader) -> dict[str, Any]:
    """The last log lines of a job: those kept when it failed, else what its workers have said of it within a day."""
    row = caller.job(job_id)
    return {"job_id": job_id, "lines": log_of(row, find_events(redis_client.database, job_id))}


def log_of(row: dict[str, Any], events: Sequence[dict[str, Any]]) -> list[str]:
    """The last log lines of a job, by its row and its events."""
    if row["log_tail"]:
        return list(row["log_tail"].splitlines())
    # A worker is named with its slot.
    workers = [event["worker_id"].partition("#")[0] for event in events if event["worker_id"]]
    try:
        return lines_of_job(redis_client.queue, workers, row["id"], limit=MOST_LOG_LINES)
    except QueueUnavailable:
        return []


@router.get("/jobs/{job_id}/why")
def why(job_id: JobId, caller: Reader) -> dict[str, Any]:
    """Why a job does not run, in one sentence, and the command that frees it."""
    caller.job(job_id)
    return asdict(find_reason(redis_client, job_id))


@router.post("/jobs/{job_id}/cancel", status_code=status.HTTP_202_ACCEPTED)
def cancel(job_id: JobId, caller: Submitter) -> dict[str, Any]:
    """Cancel a job and its children: at once when it does not run, else at its next safe point."""
    caller.job(job_id)
    redis_client.cancel(job_id)
    caller.wrote("cancel", job_id)
    return redis_client.get_job_status(job_id)


@router.post("/jobs/cancel", status_code=status.HTTP_202_ACCEPTED)
def cancel_several(given: Chosen, caller: Submitter) -> dict[str, Any]:
    """Cancel jobs, at most 1,000 at a time."""
    done, refused = _each(caller, given.ids, redis_client.cancel)
    caller.wrote("cancel_several", f"{len(done)} jobs", ids=done)
    return {"cancelled": done, "refused": refused}


@router.post("/jobs/{job_id}/retry", status_code=status.HTTP_202_ACCEPTED)
def retry(job_id: JobId, caller: Submitter) -> dict[str, Any]:
    """Ask for a failed, cancelled or quarantined job again; its finished stages are kept."""
    caller.job(job_id)
    redis_client.retry(job_id)
    caller.wrote("retry", job_id)
    return redis_client.get_job_status(job_id)


@router.post("/jobs/{job_id}/replay", status_code=status.HTTP_202_ACCEPTED)
def replay(job_id: JobId, given: Replay, caller: Submitter) -> dict[str, Any]:
    """Run a job anew from a stage on, as a new job; earlier stages keep their results."""
    caller.job(job_id)
    check_owned(caller, given.payload)
    made = replay_from(
        redis_client, job_id, from_stage=given.from_stage, changes=given.payload, new_id=given.id, roots=()
    )
    caller.wrote("replay", job_id, new=made.job_id, stage=given.from_stage)
    return {**redis_client.get_job_status(made.job_id), "kept": made.kept, "outdated": made.outdated}


@router.get("/dead")
def dead(
    caller: Reader, pipeline: Name | None = None, tenant: Tenant | None = None, limit: PageSize = 50
) -> dict[str, Any]:
    """The jobs that failed or were put aside: where and why; the newest end first."""
    rows = list_dead(redis_client.database, pipeline=pipeline, tenant=caller.seen_tenant(tenant), limit=limit)
    return {"jobs": [_named(row) for row in rows]}


@router.post("/dead/retry", status_code=status.HTTP_202_ACCEPTED)
def retry_dead(given: Several, caller: Submitter) -> dict[str, Any]:
    """Ask for dead jobs again: those of `ids`, or all that match, at most 1,000 at a time."""
    if given.ids is None:
        ids = [row["job_id"] for row in dead(caller, given.pipeline, given.tenant, MOST_AT_ONCE)["jobs"]]
    elif given.pipeline or given.tenant:
        raise InvalidInput("give ids, or what the jobs must match, not both")
    else:
        ids = given.ids
    asked, refused = _each(caller, ids, redis_client.retry)
    caller.wrote("retry_dead", f"{len(asked)} jobs", ids=asked)
    return {"retried": asked, "refused": refused}


def _each(caller: Caller, ids: Sequence[str], move: Callable[[str], Any]) -> tuple[list[str], dict[str, str]]:
    """Do something to jobs that this caller may see: to which it was done, and why not to the others."""
    done, refused = [], {}
    for job_id in ids:
        try:
            caller.job(job_id)
            move(job_id)
            done.append(job_id)
        except StagecrewError as error:  # somebody else was faster
            refused[job_id] = str(error)
    return done, refused


def _id_of(tenant: str, pipeline: str, key: str | None) -> str:
    """An id of its own, or the one that this key stands for."""
    if key is None:
        return f"{pipeline}-{secrets.token_hex(6)}"
    digest = hashlib.sha256(f"{tenant}\n{key}".encode()).hexdigest()
    return f"key-{digest[:40]}"


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": row["id"]} | {name: value for name, value in row.items() if name != "id"}


def _charge(charge: Any) -> dict[str, Any]:
    """A paid call without the vendor's answer, which its stage holds."""
    return {name: value for name, value in asdict(charge).items() if name not in {"result", "fence"}}

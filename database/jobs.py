"""Jobs as everyone but their worker sees them: stored and looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import CTE, Connection, FromClause, bindparam, case, func, literal, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from artifacts import Artifact
from database.engine import Database, now_ms
from database.events import write_event
from database.prepared import Prepared
from database.tables import DEAD_ROWS, UNREAD_ROWS, Event, Job, Stage
from database.uses import keep_artifact
from database.webhooks import Receiver, add_receiver
from errors import UnknownJob
from states import DEAD, ENDED, OPEN, JobStatus


@dataclass(frozen=True, slots=True)
class NewJob:
    """A validated job, ready to be stored."""

    id: str
    pipeline: str
    queue: str
    payload: dict[str, Any]
    payload_digest: str
    tenant: str = "default"
    priority: str = "normal"
    delay_seconds: float = 0.0
    stage: str | None = None  # the first one; where the job stands until a stage is done
    options: dict[str, Any] | None = None
    artifacts: Sequence[Artifact] = ()
    groups: tuple[str, ...] = ()  # whose limits it heeds, beside those of its queue, pipeline and tenant
    then: dict[str, Any] | None = None  # the job that follows when this one is completed
    parent_id: str | None = None
    on_child_failure: str | None = None
    replay_of: str | None = None
    replay_from: str | None = None
    webhook: Receiver | None = None  # who is told of this job alone


_INSERT = {
    "status": bindparam("b_status"),
    "id": bindparam("b_id"),
    "pipeline": bindparam("b_pipeline"),
    "queue": bindparam("b_queue"),
    "tenant": bindparam("b_tenant"),
    "priority": bindparam("b_priority"),
    "stage": bindparam("b_stage"),
    "payload": bindparam("b_payload", type_=Job.payload.type),
    "payload_digest": bindparam("b_digest"),
    "options": bindparam("b_options", type_=Job.options.type),
    "not_before_ms": case((bindparam("b_delay_ms") > 0, now_ms() + bindparam("b_delay_ms")), else_=None),
    "waiting_for": bindparam("b_waiting_for"),
    "groups": bindparam("b_groups", type_=Job.groups.type),
    "then": bindparam("b_then", type_=Job.then.type),
    "parent_id": bindparam("b_parent"),
    "on_child_failure": bindparam("b_edge"),
    "replay_of": bindparam("b_replay_of"),
    "replay_from": bindparam("b_replay_from"),
    "created_ms": now_ms(),
    "updated_ms": now_ms(),
}


@cache
def _insert(*, is_sqlite: bool) -> Prepared:
    statement = (sqlite.insert if is_sqlite else postgresql.insert)(Job).values(
        _INSERT
        | {
            name: literal(value)
            for name, value in (
                ("run", 1),
                ("progress", 0.0),
                ("attempt", 0),
                ("crashes", 0),
                ("begins", 0),
                ("fence", 0),
                ("in_flight", False),
                ("cancel_requested", False),
                ("open_children", 0),
                ("cost_usd", 0),
            )
        }
    )
    # RETURNING, since PostgreSQL's driver counts no rows of an INSERT.
    return Prepared(statement.on_conflict_do_nothing(index_elements=["id"]).returning(Job.id))


def insert_jobs(database: Database, jobs: Sequence[NewJob]) -> set[str]:
    """Store new jobs in one commit; the ids that were stored now (the others were there already)."""
    with database.write() as connection:
        return {job.id for job in jobs if insert_job(database, connection, job)}


def insert_job(database: Database, connection: Connection, job: NewJob) -> bool:
    """Store one new job in a commit of the caller's; False when its id was there already."""
    delay_ms = int(job.delay_seconds * 1000)
    status = JobStatus.WAITING if delay_ms > 0 else JobStatus.PENDING
    parameters = {
        "b_id": job.id,
        "b_status": status,
        "b_pipeline": job.pipeline,
        "b_queue": job.queue,
        "b_tenant": job.tenant,
        "b_priority": job.priority,
        "b_stage": job.stage,
        "b_payload": job.payload,
        "b_digest": job.payload_digest,
        "b_options": job.options or {},
        "b_delay_ms": delay_ms,
        "b_waiting_for": "delay" if delay_ms > 0 else None,
        "b_groups": list(job.groups) or None,
        "b_then": job.then,
        "b_parent": job.parent_id,
        "b_edge": job.on_child_failure,
        "b_replay_of": job.replay_of,
        "b_replay_from": job.replay_from,
    }
    if _insert(is_sqlite=database.is_sqlite).run(connection, parameters).fetchone() is None:
        return False
    write_event(connection, job.id, "enqueued", status=status)
    if job.webhook is not None:
        add_receiver(connection, job.webhook, tenant=job.tenant, job_id=job.id)
    for artifact in job.artifacts:
        keep_artifact(database, connection, artifact, tenant=job.tenant, job_id=job.id)
    return True


def refuse_job(database: Database, job: NewJob, error: Exception) -> None:
    """Store a job that its own door refuses, though somebody counts on it, as failed: people see it, and why."""
    with database.write() as connection:
        if not insert_job(database, connection, job):
            return
        facts = {"error_class": type(error).__name__, "error": str(error)}
        connection.execute(
            update(Job).where(Job.id == job.id).values(status=JobStatus.FAILED, finished_ms=now_ms(), **facts)
        )
        write_event(connection, job.id, "failed", status=JobStatus.FAILED, data=facts)


def same_job(database: Database, job: NewJob) -> bool:
    """Whether the stored job of this id has this pipeline, tenant and payload."""
    with database.read() as connection:
        row = connection.execute(select(Job.payload_digest, Job.tenant).where(Job.id == job.id)).one_or_none()
    return row is not None and row.payload_digest == job.payload_digest and row.tenant == job.tenant


def find_job(database: Database, job_id: str) -> dict[str, Any]:
    """The whole row of a job; UnknownJob when there is none."""
    with database.read() as connection:
        row = connection.execute(select(*Job.__table__.columns).where(Job.id == job_id)).mappings().one_or_none()
    if row is None:
        raise UnknownJob(f"no job has the id {job_id!r}")
    return dict(row)


def of_tenant(database: Database, tenant: str, job_ids: Sequence[str]) -> list[str]:
    """Those of these jobs that are this tenant's, in their order."""
    query = select(Job.id).where(Job.id.in_(list(job_ids)), Job.tenant == tenant)
    with database.read() as connection:
        found = set(connection.execute(query).scalars())
    return [job_id for job_id in job_ids if job_id in found]


def find_stages(database: Database, job_id: str) -> list[dict[str, Any]]:
    """The checkpoints of a job, in the order they were made."""
    query = select(*Stage.__table__.columns).where(Stage.job_id == job_id).order_by(Stage.finished_ms, Stage.item)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def find_events(database: Database, job_id: str) -> list[dict[str, Any]]:
    """The changes of state of a job, oldest first."""
    query = select(*Event.__table__.columns).where(Event.job_id == job_id).order_by(Event.id)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def find_reusable(database: Database, tenant: str, cache_key: str) -> dict[str, Any] | None:
    """The newest finished result of an equal stage of this tenant."""
    query = (
        select(Stage.job_id, Stage.result, Stage.provider)
        .where(Stage.tenant == tenant, Stage.cache_key == cache_key, Stage.status == "completed")
        .order_by(Stage.finished_ms.desc())
        .limit(1)
    )
    with database.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row else None


def list_jobs(
    database: Database,
    *,
    status: str | None = None,
    pipeline: str | None = None,
    queue: str | None = None,
    tenant: str | None = None,
    parent: str | None = None,
    after: tuple[int, str] | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest jobs that match, newest first; `after`: created_ms and id of the last one of the page before."""
    rows: FromClause = _open_jobs() if status in OPEN else Job.__table__
    query = select(*(rows.c[name] for name in _LISTED)).order_by(rows.c.created_ms.desc(), rows.c.id.desc())
    wanted = {"status": status, "pipeline": pipeline, "queue": queue, "tenant": tenant, "parent_id": parent}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(rows.c[name] == value)
    if status in ENDED - {JobStatus.COMPLETED}:
        query = query.where(text(DEAD_ROWS))  # word for word the index's own condition: only then it fits
    if after is not None:
        query = query.where(tuple_(rows.c.created_ms, rows.c.id) < after)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]


_LISTED = (
    *("id", "pipeline", "queue", "tenant", "status", "stage", "progress", "attempt", "crashes", "owner", "error"),
    *("cost_usd", "created_ms", "started_ms", "finished_ms"),
)


def _open_jobs() -> CTE:
    """The open jobs by themselves: without statistics SQLite would rather go through all in the order that is asked for."""
    columns = [getattr(Job, name) for name in (*_LISTED, "parent_id")]
    few = select(*columns).where(Job.finished_ms.is_(None)).cte("few")
    return few.prefix_with("MATERIALIZED", dialect="sqlite")


def list_dead(
    database: Database, *, pipeline: str | None = None, tenant: str | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """The jobs that failed or were quarantined, with where and why; the newest end first."""
    names = ("id", "pipeline", "tenant", "status", "error_stage", "error_class", "error", "attempt", "crashes")
    columns = [getattr(Job, name) for name in (*names, "finished_ms")]
    query = (
        select(*columns)
        .where(Job.status.in_(sorted(DEAD)), text(DEAD_ROWS))
        .order_by(Job.finished_ms.desc(), Job.id)
        .limit(limit)
    )
    for column, value in ((Job.pipeline, pipeline), (Job.tenant, tenant)):
        if value is not None:
            query = query.where(column == value)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def note_fetched(database: Database, job_id: str) -> None:
    """Somebody has asked for the result of a completed job."""
    with database.write() as connection:
        connection.execute(update(Job).where(Job.id == job_id, text(UNREAD_ROWS)).values(fetched_ms=now_ms()))


def count_unread(database: Database) -> dict[str, int]:
    """Of each queue the completed jobs whose result nobody has asked for yet."""
    query = select(Job.queue, func.count()).where(text(UNREAD_ROWS)).group_by(Job.queue)
    with database.read() as connection:
        return {queue: int(count) for queue, count in connection.execute(query)}


def count_jobs(database: Database) -> list[dict[str, Any]]:
    """How many open jobs stand in each queue by status."""
    query = (
        select(Job.queue, Job.status, func.count().label("jobs"))
        .where(Job.finished_ms.is_(None))
        .group_by(Job.queue, Job.status)
    )
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]

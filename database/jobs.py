"""Jobs as everyone but their worker sees them: stored, looked up, cancelled, asked for again, reconciled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from artifacts import Artifact
from database.engine import Database, now_ms
from database.fenced import keep_artifact, write_event
from database.prepared import Prepared
from database.statements import dialect_insert
from database.tables import ArtifactUse, Control, Event, Job, Meta, Stage
from errors import InvalidInput, Permanent, UnknownJob
from states import DEAD, ENDED, JobStatus

PAGE = 500


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


@dataclass(frozen=True, slots=True)
class OpenJob:
    """What Redis must know of an open job; `wait_ms` is what is left of its delay by the database's clock."""

    id: str
    pipeline: str
    queue: str
    tenant: str
    priority: str
    status: str
    fence: int
    in_flight: bool
    progress: float
    stage: str | None
    wait_ms: int
    created_ms: int


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
    "created_ms": now_ms(),
    "updated_ms": now_ms(),
}
_OPEN_COLUMNS = (
    Job.id,
    Job.pipeline,
    Job.queue,
    Job.tenant,
    Job.priority,
    Job.status,
    Job.fence,
    Job.in_flight,
    Job.progress,
    Job.stage,
    (func.coalesce(Job.not_before_ms, 0) - now_ms()).label("wait_ms"),
    Job.created_ms,
)


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


def _open_job(row: Any) -> OpenJob:
    return OpenJob(*row)


def insert_jobs(database: Database, jobs: Sequence[NewJob]) -> set[str]:
    """Store new jobs in one commit; the ids that were stored now (the others were there already)."""
    stored = set()
    statement = _insert(is_sqlite=database.is_sqlite)
    with database.write() as connection:
        for job in jobs:
            status = JobStatus.WAITING if job.delay_seconds > 0 else JobStatus.PENDING
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
                "b_delay_ms": int(job.delay_seconds * 1000),
                "b_waiting_for": "delay" if job.delay_seconds > 0 else None,
            }
            if statement.run(connection, parameters).fetchone() is not None:
                stored.add(job.id)
                write_event(connection, job.id, "enqueued", status=status)
                for artifact in job.artifacts:
                    keep_artifact(database, connection, artifact, tenant=job.tenant, job_id=job.id)
    return stored


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
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest jobs that match, newest first."""
    names = ("id", "pipeline", "queue", "tenant", "status", "stage", "progress", "attempt", "crashes", "owner", "error")
    columns = [getattr(Job, name) for name in (*names, "cost_usd", "created_ms", "started_ms", "finished_ms")]
    query = select(*columns).order_by(Job.created_ms.desc(), Job.id).limit(limit)
    wanted = {Job.status: status, Job.pipeline: pipeline, Job.queue: queue, Job.tenant: tenant}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def count_jobs(database: Database) -> list[dict[str, Any]]:
    """How many open jobs stand in each queue by status."""
    query = (
        select(Job.queue, Job.status, func.count().label("jobs"))
        .where(Job.finished_ms.is_(None))
        .group_by(Job.queue, Job.status)
    )
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def request_cancel(database: Database, job_id: str) -> str:
    """Cancel a job that does not run, or ask its worker to; the status afterwards."""
    with database.write() as connection:
        row = connection.execute(
            select(Job.status, Job.in_flight).where(Job.id == job_id).with_for_update()
        ).one_or_none()
        if row is None:
            raise UnknownJob(f"no job has the id {job_id!r}")
        if row.status in ENDED:
            return str(row.status)
        connection.execute(update(Job).where(Job.id == job_id).values(cancel_requested=True, updated_ms=now_ms()))
        done = connection.execute(
            update(Job)
            .where(Job.id == job_id, Job.finished_ms.is_(None), Job.in_flight.is_(False))
            .values(status=JobStatus.CANCELLED, finished_ms=now_ms(), updated_ms=now_ms())
        ).rowcount
        status = JobStatus.CANCELLED if done else JobStatus.PROCESSING
        write_event(connection, job_id, "cancelled" if done else "cancel_requested", status=status)
        return str(status)


def reopen(database: Database, job_id: str) -> OpenJob:
    """A person asks for an ended job again: a new run from its unfinished stages; finished ones are kept."""
    with database.write() as connection:
        row = connection.execute(select(Job.status).where(Job.id == job_id).with_for_update()).one_or_none()
        if row is None:
            raise UnknownJob(f"no job has the id {job_id!r}")
        if row.status not in DEAD | {JobStatus.CANCELLED}:
            raise InvalidInput(f"job {job_id} is {row.status}; only failed, cancelled or quarantined jobs are retried")
        connection.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(
                status=JobStatus.PENDING,
                run=Job.run + 1,
                attempt=0,
                crashes=0,
                cancel_requested=False,
                in_flight=False,
                not_before_ms=None,
                waiting_for=None,
                error=None,
                error_class=None,
                error_stage=None,
                error_detail=None,
                finished_ms=None,
                updated_ms=now_ms(),
            )
        )
        connection.execute(update(Stage).where(Stage.job_id == job_id, Stage.status == "failed").values(attempt=0))
        write_event(connection, job_id, "retried", status=JobStatus.PENDING)
        return _open_job(connection.execute(select(*_OPEN_COLUMNS).where(Job.id == job_id)).one())


def open_job(database: Database, job_id: str) -> OpenJob | None:
    """What Redis must know of this job now; None when it is not open."""
    with database.read() as connection:
        row = connection.execute(
            select(*_OPEN_COLUMNS).where(Job.id == job_id, Job.finished_ms.is_(None))
        ).one_or_none()
    return _open_job(row) if row else None


def known_open_jobs(database: Database, *, untouched_seconds: float, after: str = "") -> list[OpenJob]:
    """A page of open rows that nobody wrote to, nor reconciled, for a while; ordered by id, from `after` on."""
    horizon = now_ms() - int(untouched_seconds * 1000)
    again = now_ms() - 600_000  # a row that was looked at and is fine is left alone for ten minutes
    query = select(*_OPEN_COLUMNS).where(Job.finished_ms.is_(None), Job.id > after).order_by(Job.id).limit(PAGE)
    if untouched_seconds > 0:
        query = query.where(Job.updated_ms < horizon, or_(Job.reconciled_ms.is_(None), Job.reconciled_ms < again))
    with database.read() as connection:
        return [_open_job(row) for row in connection.execute(query)]


def cancels_in_flight(database: Database) -> list[str]:
    """Running jobs that somebody wants cancelled."""
    query = select(Job.id).where(Job.finished_ms.is_(None), Job.cancel_requested, Job.in_flight).limit(PAGE)
    with database.read() as connection:
        return list(connection.execute(query).scalars())


def mark_reconciled(database: Database, job_ids: Iterable[str]) -> None:
    """Note that these rows were compared with Redis now."""
    ids = list(job_ids)
    if ids:
        with database.write() as connection:
            connection.execute(update(Job).where(Job.id.in_(ids)).values(reconciled_ms=now_ms()))


def open_in_queues(database: Database, queues: Sequence[str], *, within_seconds: float) -> int:
    """How many jobs of these queues stand open: not begun, not waiting longer than `within_seconds`, not paused."""
    paused = select(Control.name).where(Control.kind == "pause")
    query = select(func.count()).where(
        Job.queue.in_(list(queues)),
        Job.finished_ms.is_(None),
        Job.queue.not_in(paused),
        Job.in_flight.is_(False),
        or_(Job.not_before_ms.is_(None), Job.not_before_ms <= now_ms() + int(within_seconds * 1000)),
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def open_elsewhere(database: Database, queues: Sequence[str]) -> list[str]:
    """Jobs of these queues that some worker has begun and not settled."""
    query = select(Job.id).where(Job.queue.in_(list(queues)), Job.finished_ms.is_(None), Job.in_flight).limit(PAGE)
    with database.read() as connection:
        return list(connection.execute(query).scalars())


def set_pause(database: Database, name: str, *, paused: bool, reason: str = "", by: str = "") -> None:
    """Pause or resume a queue; SQL's `controls` is the truth and Redis holds a copy."""
    with database.write() as connection:
        connection.execute(delete(Control).where(and_(Control.kind == "pause", Control.name == name)))
        if paused:
            connection.execute(
                insert(Control).values(kind="pause", name=name, value="1", reason=reason, by=by, at_ms=now_ms())
            )


def pauses(database: Database) -> dict[str, str]:
    """Paused queue -> reason."""
    with database.read() as connection:
        rows = connection.execute(select(Control.name, Control.reason).where(Control.kind == "pause"))
        return {row.name: row.reason for row in rows}


def bind_store(database: Database, identity: str) -> None:
    """Tie the database to its artifact store; Permanent when it belongs to another one."""
    with database.write() as connection:
        first = dialect_insert(database)(Meta).values(name="store_id", value=identity)
        connection.execute(first.on_conflict_do_nothing(index_elements=["name"]))
        known = connection.execute(select(Meta.value).where(Meta.name == "store_id")).scalar_one()
    if known != identity:
        raise Permanent("ARTIFACT_STORE is not the store that this database knows: its files would all be missing")


def artifact_known(database: Database, tenant: str, sha256: str) -> bool:
    """Whether this tenant has used this artifact."""
    query = select(ArtifactUse.job_id).where(ArtifactUse.tenant == tenant, ArtifactUse.sha256 == sha256).limit(1)
    with database.read() as connection:
        return connection.execute(query).first() is not None

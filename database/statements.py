"""The statements of a worker's fenced writes, built once and run by parameters: the hot path of every job."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

from sqlalchemy import Connection, and_, bindparam, case, exists, func, insert, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from database.engine import Database, now_ms
from database.prepared import Prepared
from database.tables import Event, Job, Stage, Webhook
from states import DEAD, JobStatus


def _fenced_update() -> Any:
    """UPDATE jobs for the holder alone; also takes the row's lock for the rest of the commit."""
    return (
        update(Job)
        .where(
            Job.id == bindparam("b_id"),
            Job.fence == bindparam("b_token"),
            Job.status == JobStatus.PROCESSING,
            Job.in_flight,
        )
        .values(updated_ms=now_ms())
    )


_BEGIN = (
    update(Job)
    .where(
        Job.id == bindparam("b_id"),
        Job.fence < bindparam("b_token"),
        Job.finished_ms.is_(None),  # open: a constant, so that the statement compiles once
        not_(Job.cancel_requested),
        or_(Job.not_before_ms.is_(None), Job.not_before_ms <= now_ms()),
        # Waiting without a time: on its children or a person. Who ends that wait makes it pending.
        or_(Job.status != JobStatus.WAITING, Job.not_before_ms.is_not(None)),
        # In flight under a fence that Redis has not heard of: Redis was rewound, and its holder may be alive.
        or_(not_(Job.in_flight), Job.fence <= bindparam("b_known")),
    )
    .values(
        # Whoever held it under this fence is dead: its lease ran out, or that of a later claim that never began.
        crashes=Job.crashes + case((and_(Job.in_flight, Job.fence <= bindparam("b_expired")), 1), else_=0),
        fence=bindparam("b_token"),
        owner=bindparam("b_owner"),
        status=JobStatus.PROCESSING,
        in_flight=True,
        begins=Job.begins + 1,
        started_ms=func.coalesce(Job.started_ms, now_ms()),
        updated_ms=now_ms(),
        not_before_ms=None,
        waiting_for=None,
    )
    .returning(
        Job.pipeline,
        Job.queue,
        Job.tenant,
        Job.payload,
        Job.options,
        Job.providers,
        Job.run,
        Job.attempt,
        Job.crashes,
        Job.begins,
        Job.progress,
        Job.priority,
    )
)
# What the end of a job means for others (database/ending.py).
RELATIONS = (Job.parent_id, Job.on_child_failure, Job.then, Job.open_children, Job.run)
_LOOK = select(
    Job.status,
    Job.fence,
    Job.owner,
    Job.in_flight,
    Job.cancel_requested,
    (Job.not_before_ms - now_ms()).label("wait_ms"),
).where(Job.id == bindparam("b_id"))
_CANCELLED = (
    update(Job)
    .where(Job.id == bindparam("b_id"), Job.fence < bindparam("b_token"), Job.finished_ms.is_(None))
    .values(
        status=JobStatus.CANCELLED,
        in_flight=False,
        fence=bindparam("b_token"),
        finished_ms=now_ms(),
        updated_ms=now_ms(),
    )
    .returning(*RELATIONS)
)
_ADVANCE = _fenced_update().values(
    stage=bindparam("b_stage"),
    # Branches commit in another order than they count: it never falls.
    progress=case((bindparam("b_progress") > Job.progress, bindparam("b_progress")), else_=Job.progress),
    attempt=0,
)
_END = _fenced_update().values(
    status=bindparam("b_status"),
    stage=func.coalesce(bindparam("b_stage"), Job.stage),
    progress=case((bindparam("b_progress") > Job.progress, bindparam("b_progress")), else_=Job.progress),
    result=bindparam("b_result", type_=Job.result.type),
    # A completed job has no stage in trouble any more; a failed one tells below how often it was tried.
    attempt=case((bindparam("b_status") == JobStatus.COMPLETED, 0), else_=Job.attempt),
    in_flight=False,
    finished_ms=now_ms(),
)
_FAIL = _END.values(
    attempt=bindparam("b_attempt"),
    error_class=bindparam("b_error_class"),
    error=bindparam("b_error"),
    error_stage=bindparam("b_stage"),
    error_detail=bindparam("b_detail"),
    log_tail=bindparam("b_log_tail"),
)
_RELEASE = _fenced_update().values(
    status=bindparam("b_status"),
    queue=bindparam("b_queue"),
    in_flight=False,
    not_before_ms=case((bindparam("b_delay_ms") > 0, now_ms() + bindparam("b_delay_ms")), else_=None),
    waiting_for=bindparam("b_waiting_for"),
)
_RETRY = _RELEASE.values(
    attempt=bindparam("b_attempt"),
    stage=bindparam("b_stage"),
    error_class=bindparam("b_error_class"),
    error=bindparam("b_error"),
    error_stage=bindparam("b_stage"),
    error_detail=bindparam("b_detail"),
    log_tail=bindparam("b_log_tail"),
)
_child = Job.__table__.alias("child")
# A child whose failure is its parent's wakes it; when that came between the look and this write, it must not sleep.
_MUST_LOOK = or_(
    Job.open_children == 0,
    exists().where(
        _child.c.parent_id == bindparam("b_id"),
        _child.c.on_child_failure == "fail",
        or_(*(_child.c.status == status for status in sorted({*DEAD, JobStatus.CANCELLED}))),
    ),
)
_WAIT = (
    _fenced_update()
    .values(
        status=case((_MUST_LOOK, JobStatus.PENDING), else_=JobStatus.WAITING),
        queue=bindparam("b_queue"),
        in_flight=False,
        not_before_ms=None,
        waiting_for=case((_MUST_LOOK, None), else_=bindparam("b_waiting_for")),
    )
    .returning(Job.status)
)
_PROVIDERS = _fenced_update().values(providers=bindparam("b_providers", type_=Job.providers.type))
_EVENT = insert(Event).values(
    job_id=bindparam("e_job"),
    kind=bindparam("e_kind"),
    status=bindparam("e_status"),
    stage=bindparam("e_stage"),
    worker_id=bindparam("e_worker"),
    data=bindparam("e_data", type_=Event.data.type),
    at_ms=now_ms(),
)


BEGIN = Prepared(_BEGIN)
LOOK = Prepared(_LOOK)
CANCELLED = Prepared(_CANCELLED)
ADVANCE = Prepared(_ADVANCE.returning(Job.id))
END = Prepared(_END.returning(*RELATIONS))
FAIL = Prepared(_FAIL.returning(*RELATIONS))
WAIT = Prepared(_WAIT)
RELEASE = Prepared(_RELEASE.returning(Job.id))
RETRY = Prepared(_RETRY.returning(Job.id))
PROVIDERS = Prepared(_PROVIDERS.returning(Job.id))
GUARD = Prepared(_fenced_update().returning(Job.id))
SPAWN = Prepared(_fenced_update().where(not_(Job.cancel_requested)).returning(Job.id))
EVENT = Prepared(_EVENT)
# The same, and whether anybody wants to be told of events of this job.
TOLD_EVENT = Prepared(
    _EVENT.returning(
        exists()
        .where(
            Webhook.tenant == select(Job.tenant).where(Job.id == bindparam("e_job")).scalar_subquery(),
            or_(Webhook.job_id == "", Webhook.job_id == bindparam("e_job")),
            Webhook.disabled_ms.is_(None),
        )
        .label("is_wanted")
    )
)


class _Upsert(Protocol):
    def __call__(self, table: Any) -> Any: ...


def dialect_insert(where: Database | Connection) -> _Upsert:
    """INSERT with ON CONFLICT, in the words of this database, or of a connection's."""
    return sqlite.insert if where.engine.dialect.name == "sqlite" else postgresql.insert


@cache
def stage_upsert(*, is_sqlite: bool) -> Prepared:
    """Write the row of a stage or item; `executions` adds up how often the work itself was done."""
    statement = (sqlite.insert if is_sqlite else postgresql.insert)(Stage).values(
        job_id=bindparam("s_job"),
        stage=bindparam("s_stage"),
        item=bindparam("s_item"),
        status=bindparam("s_status"),
        attempt=bindparam("s_attempt"),
        result=bindparam("s_result", type_=Stage.result.type),
        provider=bindparam("s_provider"),
        version=bindparam("s_version"),
        tenant=bindparam("s_tenant"),
        cache_key=bindparam("s_cache_key"),
        reused_from=bindparam("s_reused_from"),
        cost_usd=bindparam("s_cost"),
        error_class=bindparam("s_error_class"),
        error=bindparam("s_error"),
        worker_id=bindparam("s_worker"),
        run=bindparam("s_run"),
        executions=bindparam("s_executions"),
        started_ms=now_ms() - bindparam("s_elapsed_ms"),
        finished_ms=now_ms(),
    )
    fresh = {
        column.name: statement.excluded[column.name] for column in Stage.__table__.columns if not column.primary_key
    }
    fresh["executions"] = Stage.executions + statement.excluded.executions
    return Prepared(statement.on_conflict_do_update(index_elements=["job_id", "stage", "item"], set_=fresh))

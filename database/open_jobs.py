"""Open jobs as Redis must know them: what the reconciler compares, and what a drain waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, literal, not_, or_, select, update

from database.engine import Database, now_ms
from database.tables import Control, Job
from states import JobStatus

PAGE = 500


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
    groups: tuple[str, ...] = ()
    waits: bool = False  # for its children or a person: in no index of Redis


OPEN_COLUMNS = (
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
    Job.groups,
    and_(Job.status == JobStatus.WAITING, Job.not_before_ms.is_(None)).label("waits"),
)


def as_open_job(row: Any) -> OpenJob:
    """A row of `OPEN_COLUMNS`."""
    return OpenJob(**{**row._asdict(), "groups": tuple(row.groups or ()), "waits": bool(row.waits)})


def open_job(database: Database, job_id: str) -> OpenJob | None:
    """What Redis must know of this job now; None when it is not open."""
    with database.read() as connection:
        row = connection.execute(select(*OPEN_COLUMNS).where(Job.id == job_id, Job.finished_ms.is_(None))).one_or_none()
    return as_open_job(row) if row else None


def known_open_jobs(database: Database, *, untouched_seconds: float, after: str = "") -> list[OpenJob]:
    """A page of open rows that nobody wrote to, nor reconciled, for a while; ordered by id, from `after` on."""
    horizon = now_ms() - int(untouched_seconds * 1000)
    again = now_ms() - 600_000  # a row that was looked at and is fine is left alone for ten minutes
    query = select(*OPEN_COLUMNS).where(Job.finished_ms.is_(None), Job.id > after).order_by(Job.id).limit(PAGE)
    if untouched_seconds > 0:
        query = query.where(Job.updated_ms < horizon, or_(Job.reconciled_ms.is_(None), Job.reconciled_ms < again))
    with database.read() as connection:
        return [as_open_job(row) for row in connection.execute(query)]


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
    """How many jobs of these queues stand open: not begun, not waiting longer than `within_seconds`, not paused.

    A job that waits for its children or a person does not count: what wakes it does, where that stands here.
    """
    paused = select(Control.name).where(Control.kind == "pause")
    waits = and_(Job.status == JobStatus.WAITING, Job.not_before_ms.is_(None))
    query = select(func.count()).where(
        Job.queue.in_(list(queues)),
        Job.finished_ms.is_(None),
        Job.queue.not_in(paused),
        literal("pipeline:").concat(Job.pipeline).not_in(paused),
        literal("tenant:").concat(Job.tenant).not_in(paused),
        Job.in_flight.is_(False),
        not_(waits),
        or_(Job.not_before_ms.is_(None), Job.not_before_ms <= now_ms() + int(within_seconds * 1000)),
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def open_elsewhere(database: Database, queues: Sequence[str]) -> list[str]:
    """Jobs of these queues that some worker has begun and not settled."""
    query = select(Job.id).where(Job.queue.in_(list(queues)), Job.finished_ms.is_(None), Job.in_flight).limit(PAGE)
    with database.read() as connection:
        return list(connection.execute(query).scalars())

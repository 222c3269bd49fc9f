"""What people ask of a job that is not theirs to write: cancel it, or run it again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from database.ending import after_end, child_ended, child_opened, relations_of
from database.engine import Database, now_ms
from database.events import write_event
from database.open_jobs import OPEN_COLUMNS, OpenJob, as_open_job
from database.outbox import post
from database.tables import Job, Stage
from errors import InvalidInput, UnknownJob
from states import DEAD, ENDED, JobStatus

ENDED_BADLY = DEAD | {JobStatus.CANCELLED}


def request_cancel(database: Database, job_id: str) -> str:
    """Cancel a job that does not run, or ask its worker to; the status afterwards.

    A dead child for which its parent waits is given up: the parent goes on without it.
    """
    with database.write() as connection:
        row = _locked(connection, job_id)
        if row.status in ENDED:
            return _give_up(database, connection, job_id, row)
        connection.execute(update(Job).where(Job.id == job_id).values(cancel_requested=True, updated_ms=now_ms()))
        if row.in_flight:
            # Its worker ends it; what it has spawned must hear of it even when nobody comes back to this request.
            if row.open_children:
                post(database, connection, "cancel_children", job_id, row.run)
            write_event(connection, job_id, "cancel_requested", status=JobStatus.PROCESSING)
            return JobStatus.PROCESSING
        _end(database, connection, job_id)
        return JobStatus.CANCELLED


def reopen(database: Database, job_id: str) -> list[OpenJob]:
    """A person asks for an ended job again: a new run from its unfinished stages; finished ones are kept.

    Children whose failure was its own are asked for with it, first.
    """
    with database.write() as connection:
        row = _locked(connection, job_id)
        if row.status not in ENDED_BADLY:
            raise InvalidInput(f"job {job_id} is {row.status}; only failed, cancelled or quarantined jobs are retried")
        opened = _reopen(connection, job_id)
        found = {one.id: one for one in _open_jobs(connection, opened)}
    return [found[one] for one in opened]


def free(database: Database, *, job_id: str | None = None, reason: str | None = None) -> list[str]:
    """Jobs that wait for a person may go on: one, or all that wait for the same; their ids."""
    wanted = Job.waiting_for.startswith("a person:") if reason is None else Job.waiting_for == f"a person: {reason}"
    query = (
        update(Job)
        .where(Job.status == JobStatus.WAITING, Job.not_before_ms.is_(None), wanted)
        .values(status=JobStatus.PENDING, waiting_for=None, updated_ms=now_ms())
        .returning(Job.id)
    )
    if job_id is not None:
        query = query.where(Job.id == job_id)
    with database.write() as connection:
        freed = list(connection.execute(query).scalars())
        for one in freed:
            write_event(connection, one, "freed", status=JobStatus.PENDING)
    return freed


def find_open_children(database: Database, job_id: str) -> list[str]:
    """The children of a job that have not ended, and those dead ones for which it waits."""
    query = select(Job.id, Job.status, Job.on_child_failure).where(Job.parent_id == job_id)
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [row.id for row in rows if row.status not in ENDED or _is_waited_for(row)]


def _locked(connection: Connection, job_id: str) -> Any:
    columns = (Job.status, Job.in_flight, Job.run, Job.open_children, Job.parent_id, Job.on_child_failure)
    row = connection.execute(select(*columns).where(Job.id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise UnknownJob(f"no job has the id {job_id!r}")
    return row


def _is_waited_for(row: Any) -> bool:
    return bool(row.status in DEAD and row.on_child_failure == "wait")


def _give_up(database: Database, connection: Connection, job_id: str, row: Any) -> str:
    if row.parent_id is None or not _is_waited_for(row):
        return str(row.status)
    connection.execute(update(Job).where(Job.id == job_id).values(status=JobStatus.CANCELLED, updated_ms=now_ms()))
    write_event(connection, job_id, "given_up", status=JobStatus.CANCELLED)
    child_ended(database, connection, job_id, JobStatus.CANCELLED, relations_of(connection, job_id))
    return JobStatus.CANCELLED


def _end(database: Database, connection: Connection, job_id: str) -> None:
    connection.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(status=JobStatus.CANCELLED, waiting_for=None, finished_ms=now_ms(), updated_ms=now_ms())
    )
    write_event(connection, job_id, "cancelled", status=JobStatus.CANCELLED)
    after_end(database, connection, job_id, JobStatus.CANCELLED, relations_of(connection, job_id))


def _reopen(connection: Connection, job_id: str) -> list[str]:
    before = connection.execute(select(Job.status, Job.parent_id, Job.on_child_failure).where(Job.id == job_id)).one()
    children = connection.execute(
        select(Job.id).where(
            Job.parent_id == job_id, Job.on_child_failure == "fail", Job.status.in_(sorted(ENDED_BADLY))
        )
    ).scalars()
    opened = [one for child in list(children) for one in _reopen(connection, child)]
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
            log_tail=None,
            finished_ms=None,
            updated_ms=now_ms(),
        )
    )
    connection.execute(update(Stage).where(Stage.job_id == job_id, Stage.status == "failed").values(attempt=0))
    if before.parent_id is not None and not _is_waited_for(before):
        child_opened(connection, before.parent_id)
    write_event(connection, job_id, "retried", status=JobStatus.PENDING)
    return [*opened, job_id]


def _open_jobs(connection: Connection, job_ids: list[str]) -> list[OpenJob]:
    return [as_open_job(row) for row in connection.execute(select(*OPEN_COLUMNS).where(Job.id.in_(job_ids)))]

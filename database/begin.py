"""A worker begins a job: the fence is installed before any work, or SQL says why not."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, select

from database import statements
from database.ending import Relations, after_end
from database.engine import Database
from database.events import write_event
from database.guard import guard, look
from database.records import Begun, Failure, Holder, JobRecord, NotBegun, failure_parameters
from database.tables import Job
from states import ENDED, JobStatus


def begin(
    database: Database, holder: Holder, *, expired: int, known: int, quarantine_crashes: int
) -> tuple[Begun | NotBegun, bool]:
    """Install the fence and take the job, or say why not; and whether something stands in the outbox now.

    `expired` is the token whose lease ran out (0: none), `known` the newest token that Redis had heard of.
    """
    with database.write() as connection:
        row = statements.BEGIN.run(
            connection,
            {
                "b_id": holder.job_id,
                "b_token": holder.token,
                "b_owner": holder.owner,
                "b_expired": expired,
                "b_known": known,
            },
        ).fetchone()
        if row is None:
            return _why_not(database, connection, holder, known)
        job = _record(holder.job_id, row)
        # Counted here and decided here, since Redis may be rewound and forget.
        if quarantine_crashes and job.crashes >= quarantine_crashes:
            return NotBegun("quarantined", JobStatus.QUARANTINED), _quarantine(database, connection, holder, job)
        write_event(connection, holder.job_id, "processing", status=JobStatus.PROCESSING, worker_id=holder.owner)
        return Begun(job), False


def _why_not(database: Database, connection: Connection, holder: Holder, known: int) -> tuple[Begun | NotBegun, bool]:
    row = look(connection, holder.job_id)
    if row is None:
        return NotBegun("gone"), False
    if row.status in ENDED:
        return NotBegun("ended", row.status), False
    if row.fence == holder.token and row.owner == holder.owner and row.in_flight:
        return Begun(_read(connection, holder.job_id)), False  # begun before; the reply was lost
    if row.fence >= holder.token:
        return NotBegun("stale", row.status, floor=row.fence), False
    if row.in_flight and row.fence > known:
        return NotBegun("rewound", row.status, floor=row.fence), False
    if row.cancel_requested:
        return NotBegun("cancelled", JobStatus.CANCELLED), _cancelled(database, connection, holder)
    if row.status == JobStatus.WAITING and row.wait_ms is None:
        return NotBegun("waits", row.status), False
    return NotBegun("not_due", row.status, wait_ms=max(1, row.wait_ms or 1)), False


def _cancelled(database: Database, connection: Connection, holder: Holder) -> bool:
    parameters = {"b_id": holder.job_id, "b_token": holder.token}
    row = statements.CANCELLED.run(connection, parameters).fetchone()
    if row is None:
        return False  # it ended a moment ago, otherwise
    status = JobStatus.CANCELLED
    write_event(connection, holder.job_id, "cancelled", status=status, worker_id=holder.owner)
    return after_end(database, connection, holder.job_id, status, Relations(*row))


def _quarantine(database: Database, connection: Connection, holder: Holder, job: JobRecord) -> bool:
    message = f"this job's worker died {job.crashes} times while running it; a person must look before it runs again"
    status = JobStatus.QUARANTINED
    failure = Failure("", "", job.attempt, "Quarantined", message)
    row = guard(connection, holder, statements.FAIL, failure_parameters(failure, status))
    data = {"crashes": job.crashes}
    write_event(connection, holder.job_id, "quarantined", status=status, worker_id=holder.owner, data=data)
    return row is not None and after_end(database, connection, holder.job_id, status, Relations(*row))


def _read(connection: Connection, job_id: str) -> JobRecord:
    columns = [getattr(Job, name) for name in JobRecord.__slots__]
    return JobRecord(*connection.execute(select(*columns).where(Job.id == job_id)).one())


def _record(job_id: str, row: Any) -> JobRecord:
    """The columns that BEGIN returns; SQLite's driver leaves JSON as text."""
    values = list(row)
    for place in (3, 4, 5):  # payload, options, providers
        if isinstance(values[place], str):
            values[place] = orjson.loads(values[place])
    return JobRecord(job_id, *values)

"""Parents and children: a running job starts others, and reads how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from database import statements
from database.ending import child_opened
from database.engine import Database
from database.guard import guard, look
from database.jobs import NewJob, insert_job
from database.records import Holder
from database.tables import Job
from errors import Fenced, Interrupted, InvalidInput


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A child as its parent sees it."""

    id: str
    status: str
    on_child_failure: str
    result: Any
    error: str | None


def spawn(database: Database, holder: Holder, child: NewJob) -> bool:
    """Store a child of a running job under the job's fence; False when it was there already.

    Fenced when the job is no longer the holder's; Interrupted when somebody wants it cancelled: the cancel sets its
    flag first and reads the children afterwards, so that none is missed.
    """
    assert child.parent_id == holder.job_id
    with database.write() as connection:
        _lock_parent(connection, holder)
        if insert_job(database, connection, child):
            child_opened(connection, holder.job_id)
            return True
        known = connection.execute(select(Job.parent_id, Job.payload_digest).where(Job.id == child.id)).one()
    if known.parent_id != child.parent_id or known.payload_digest != child.payload_digest:
        raise InvalidInput(f"id={child.id!r} is taken by a job with another payload; give this child another key")
    return False


def _lock_parent(connection: Connection, holder: Holder) -> None:
    try:
        guard(connection, holder, statements.SPAWN)
    except Fenced:
        found = look(connection, holder.job_id)
        if found and found.fence == holder.token and found.in_flight and found.cancel_requested:
            raise Interrupted("cancelled") from None
        raise


def find_children(database: Database, job_id: str, ids: Sequence[str] | None = None) -> list[ChildRecord]:
    """The children of a job, or those of these ids, in the order they were made."""
    columns = (Job.id, Job.status, Job.on_child_failure, Job.result, Job.error)
    query = select(*columns).where(Job.parent_id == job_id).order_by(Job.created_ms, Job.id)
    with database.read() as connection:
        found = [ChildRecord(*row) for row in connection.execute(query)]
    return found if ids is None else [one for one in found if one.id in set(ids)]

"""What the end of a job means for others, written in the commit that ends it: its parent, its children, its next job."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from database import statements
from database.charges import has_open_calls
from database.engine import Database, now_ms
from database.events import write_event
from database.outbox import post
from database.tables import Job
from states import DEAD, JobStatus

# What a failed child does to its parent: it fails too, goes on without it, or waits for a person.
EDGES = ("fail", "skip", "wait")
FOR_CHILDREN = "children"


class Relations(NamedTuple):
    """What a terminal commit returns of its row (statements.RELATIONS)."""

    parent_id: str | None
    on_child_failure: str | None
    then: Any
    open_children: int
    run: int


def after_end(database: Database, connection: Connection, job_id: str, status: str, its: Relations) -> bool:
    """Write what follows from the end of a job; whether something stands in the outbox now."""
    posted = False
    if its.parent_id is not None:
        posted |= child_ended(database, connection, job_id, status, its)
    if its.then is not None and status == JobStatus.COMPLETED:
        post(database, connection, "then", job_id, its.run)
        posted = True
    if status == JobStatus.CANCELLED and has_open_calls(connection, job_id):
        post(database, connection, "cancel_calls", job_id, its.run)
        posted = True
    if its.open_children and status != JobStatus.COMPLETED:
        post(database, connection, "cancel_children", job_id, its.run)
        posted = True
    return posted


def child_ended(database: Database, connection: Connection, child_id: str, status: str, its: Relations) -> bool:
    """One child fewer; the last one, or one whose failure is its parent's, wakes the parent. Whether it is woken.

    The parent's row is locked by the update: two last children cannot both see one that is still open.
    """
    assert its.parent_id is not None
    if status in DEAD and its.on_child_failure == "wait":
        write_event(connection, its.parent_id, "child_needs_a_person", status=JobStatus.WAITING, data={"job": child_id})
        return False
    open_children = connection.execute(
        update(Job)
        .where(Job.id == its.parent_id)
        .values(open_children=Job.open_children - 1, updated_ms=now_ms())
        .returning(Job.open_children)
    ).scalar()
    if open_children is None:
        return False  # the parent's row is gone: nobody waits
    fails = status != JobStatus.COMPLETED and its.on_child_failure == "fail"
    if open_children > 0 and not fails:
        return False
    connection.execute(
        update(Job)
        .where(Job.id == its.parent_id, Job.status == JobStatus.WAITING, Job.waiting_for == FOR_CHILDREN)
        .values(status=JobStatus.PENDING, waiting_for=None, updated_ms=now_ms())
    )
    post(database, connection, "wake", its.parent_id, child_id, its.run)
    return True


def child_opened(connection: Connection, parent_id: str) -> None:
    """One child more, or again."""
    connection.execute(
        update(Job).where(Job.id == parent_id).values(open_children=Job.open_children + 1, updated_ms=now_ms())
    )


def relations_of(connection: Connection, job_id: str) -> Relations:
    """Whom the end of this job concerns."""
    return Relations(*connection.execute(select(*statements.RELATIONS).where(Job.id == job_id)).one())

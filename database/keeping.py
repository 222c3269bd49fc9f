"""Rows and files whose keep time is over go, page by page. Charges are never deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from database.engine import Database, now_ms
from database.tables import ArtifactUse, Event, Job, Outbox, StoredArtifact, Webhook
from states import JobStatus

PAGE = 500
# Between the mark and the deletion of a file: a job that found it before the mark has committed its use long since.
MARKED_SECONDS = 3600

Keep = Callable[[str, str], float]


@dataclass(frozen=True, slots=True)
class Page:
    """What one page came to; `after` is where the next one begins (None: this was the last)."""

    deleted: int
    after: tuple[int, str] | None


def delete_ended(database: Database, keep: Keep, *, after: tuple[int, str] = (0, "")) -> Page:
    """Delete the ended jobs of one page whose keep time is over, with their stages, events and uses of files.

    `keep(pipeline, status)` in seconds. A child stays as long as its parent does, and a job whose letters are not
    delivered yet stays too.
    """
    created, job_id = after
    columns = (Job.id, Job.pipeline, Job.status, Job.parent_id, Job.created_ms, Job.finished_ms)
    query = (
        select(*columns)
        .where((Job.created_ms > created) | ((Job.created_ms == created) & (Job.id > job_id)))
        .order_by(Job.created_ms, Job.id)
        .limit(PAGE)
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
        now = int(connection.execute(select(now_ms())).scalar_one())
        over = [
            row for row in rows if row.finished_ms and now - row.finished_ms > 1000 * keep(row.pipeline, row.status)
        ]
        parents = _kept_parents(connection, {row.parent_id for row in over if row.parent_id}, keep, now)
    gone = [row.id for row in over if row.parent_id not in parents]
    last = (rows[-1].created_ms, rows[-1].id) if len(rows) == PAGE else None
    return Page(_delete(database, gone), last)


def mark_unused(database: Database) -> int:
    """Mark a page of files that no job uses; how many."""
    unused = (
        select(StoredArtifact.sha256)
        .where(StoredArtifact.marked_ms.is_(None), ~_is_used(), StoredArtifact.created_ms < now_ms() - 1000 * 60)
        .limit(PAGE)
    )
    with database.write() as connection:
        found = list(connection.execute(unused).scalars())
        if found:
            connection.execute(
                update(StoredArtifact).where(StoredArtifact.sha256.in_(found)).values(marked_ms=now_ms())
            )
    return len(found)


def forget_marked(database: Database, *, marked_seconds: float = MARKED_SECONDS) -> list[str]:
    """Delete the rows of a page of files that were marked long ago and that nobody uses still; their digests."""
    horizon = now_ms() - int(1000 * marked_seconds)
    old = (StoredArtifact.marked_ms.is_not(None), StoredArtifact.marked_ms <= horizon, ~_is_used())
    with database.write() as connection:
        found = list(connection.execute(select(StoredArtifact.sha256).where(*old).limit(PAGE)).scalars())
        if not found:
            return []
        # Once more in the same statement: whoever uses one now takes its mark away.
        gone = delete(StoredArtifact).where(StoredArtifact.sha256.in_(found), *old).returning(StoredArtifact.sha256)
        return list(connection.execute(gone).scalars())


def unknown_files(database: Database, digests: Sequence[str]) -> list[str]:
    """Those of these files that no row knows: whoever stored them died before its commit."""
    with database.read() as connection:
        known = set(
            connection.execute(select(StoredArtifact.sha256).where(StoredArtifact.sha256.in_(list(digests)))).scalars()
        )
    return [digest for digest in digests if digest not in known]


def _is_used() -> ColumnElement[bool]:
    return exists().where(ArtifactUse.sha256 == StoredArtifact.sha256)


def _kept_parents(connection: Connection, parent_ids: set[str], keep: Keep, now: int) -> set[str]:
    columns = (Job.id, Job.pipeline, Job.status, Job.finished_ms)
    rows = connection.execute(select(*columns).where(Job.id.in_(parent_ids))).all()
    return {
        row.id
        for row in rows
        if row.finished_ms is None or now - row.finished_ms <= 1000 * keep(row.pipeline, row.status)
    }


def _delete(database: Database, job_ids: Sequence[str]) -> int:
    if not job_ids:
        return 0
    letters = exists().where(Outbox.job_id == Job.id, Outbox.delivered_ms.is_(None))
    with database.write() as connection:
        gone = list(
            connection.execute(
                delete(Job).where(Job.id.in_(list(job_ids)), Job.finished_ms.is_not(None), ~letters).returning(Job.id)
            ).scalars()
        )
        connection.execute(delete(Event).where(Event.job_id.in_(gone)))
        connection.execute(delete(ArtifactUse).where(ArtifactUse.job_id.in_(gone)))
        connection.execute(delete(Webhook).where(Webhook.job_id != "", Webhook.job_id.in_(gone)))
    return len(gone)


def keeps_as(status: str) -> str:
    """The two keep times: of what was completed or cancelled, and of what failed."""
    return "completed" if status in {JobStatus.COMPLETED, JobStatus.CANCELLED} else "failed"

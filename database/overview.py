"""The whole at a glance: how many jobs ended how in each hour, and how long the oldest has waited."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from database.engine import Database, now_ms
from database.tables import Job
from states import JobStatus

HOUR_MS, ASKED_BEFORE_HOURS = 3600 * 1000, 6


def oldest_by_queue(database: Database) -> dict[str, float]:
    """Of each queue in which a job waits that could run: for how many seconds the oldest has."""
    query = (
        select(Job.queue, func.min(Job.updated_ms), now_ms())
        .where(Job.finished_ms.is_(None), Job.status == JobStatus.PENDING)
        .group_by(Job.queue)
    )
    with database.read() as connection:
        return {queue: max(0.0, (int(now) - int(since)) / 1000) for queue, since, now in connection.execute(query)}


def ended_by_hour(database: Database, *, hours: int = 24, tenant: str | None = None) -> list[dict[str, Any]]:
    """Of each of the last hours in which jobs ended: its beginning, and how many ended how."""
    hour = func.floor(Job.finished_ms / HOUR_MS).label("hour")
    query = (
        select(hour, Job.status, func.count().label("jobs"))
        # By the time of asking, which has an index: a job that ended lately was seldom asked for long before.
        .where(
            Job.created_ms >= now_ms() - (hours + ASKED_BEFORE_HOURS) * HOUR_MS,
            Job.finished_ms >= now_ms() - hours * HOUR_MS,
        )
        .group_by(hour, Job.status)
    )
    if tenant is not None:
        query = query.where(Job.tenant == tenant)
    found: dict[int, dict[str, Any]] = {}
    with database.read() as connection:
        for begin, status, count in connection.execute(query):
            row = found.setdefault(int(begin), {"from_ms": int(begin) * HOUR_MS})
            row[status] = int(count)
    return [found[begin] for begin in sorted(found)]

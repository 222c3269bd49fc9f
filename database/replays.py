"""A replay: a new job that begins with the results of an older one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from artifacts import Artifact
from database.engine import Database, now_ms
from database.jobs import NewJob, insert_job
from database.tables import Job, Stage
from database.uses import keep_artifact
from states import StageStatus


def insert_replay(
    database: Database, job: NewJob, *, stages: Sequence[str], artifacts: Sequence[Artifact]
) -> list[str] | None:
    """Store a job with copies of these finished stages of the job it replays; which ones there were.

    One commit: the files of the copies are the new job's too before the old one can be deleted. None when the id is
    taken.
    """
    assert job.replay_of is not None
    with database.write() as connection:
        if not insert_job(database, connection, job):
            return None
        query = select(*Stage.__table__.columns).where(
            Stage.job_id == job.replay_of, Stage.stage.in_(list(stages)), Stage.status == StageStatus.COMPLETED
        )
        rows = [dict(row) for row in connection.execute(query).mappings()]
        copies: list[dict[str, Any]] = [
            row
            | {
                "job_id": job.id,
                "reused_from": job.replay_of,
                "executions": 0,
                "cost_usd": 0,
                "run": 1,
                "finished_ms": now_ms(),
            }
            for row in rows
        ]
        for copy in copies:
            connection.execute(insert(Stage).values(copy))
        for artifact in artifacts:
            keep_artifact(database, connection, artifact, tenant=job.tenant, job_id=job.id)
        providers = select(Job.providers).where(Job.id == job.replay_of).scalar_subquery()
        # The same hands as before, and known results from the first begin on.
        connection.execute(update(Job).where(Job.id == job.id).values(providers=providers, begins=1))
    return sorted({row["stage"] for row in rows})

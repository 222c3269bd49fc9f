"""The rows of `stages`: a finished stage or item, or its failed try, written in the commit of its job."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from database import statements
from database.engine import Database
from database.records import Checkpoint, Failure, Holder, JobRecord
from database.tables import Stage
from database.uses import keep_artifact
from states import StageStatus


def write_done(database: Database, connection: Connection, holder: Holder, job: JobRecord, done: Checkpoint) -> None:
    """A finished stage or item, what it commits itself, and the files it uses."""
    if done.commit:
        done.commit(connection)
    for artifact in done.artifacts:
        keep_artifact(database, connection, artifact, tenant=job.tenant, job_id=job.id)
    _upsert(
        database,
        connection,
        holder,
        job,
        {
            "s_stage": done.stage,
            "s_item": done.item,
            "s_status": StageStatus.COMPLETED,
            "s_result": done.result,
            "s_provider": done.provider,
            "s_version": done.version,
            "s_cache_key": done.cache_key,
            "s_reused_from": done.reused_from,
            "s_cost": done.cost_usd,
            "s_executions": 0 if done.reused_from else 1,
            "s_elapsed_ms": int(done.seconds * 1000),
        },
    )


def write_failed(database: Database, connection: Connection, holder: Holder, job: JobRecord, failure: Failure) -> None:
    """A failed try of a stage or item, and how often it has failed."""
    if not failure.stage:
        return
    _upsert(
        database,
        connection,
        holder,
        job,
        {
            "s_stage": failure.stage,
            "s_item": failure.item,
            "s_status": StageStatus.FAILED,
            "s_attempt": failure.attempt,
            "s_error_class": failure.error_class,
            "s_error": failure.message,
        },
    )


def is_written(connection: Connection, holder: Holder, done: Checkpoint) -> bool:
    """Whether this very checkpoint stands there already: the reply of its commit was lost."""
    key = (Stage.job_id == holder.job_id, Stage.stage == done.stage, Stage.item == done.item)
    row = connection.execute(select(Stage.status, Stage.worker_id, Stage.result).where(*key)).one_or_none()
    return row is not None and tuple(row) == (StageStatus.COMPLETED, holder.owner, done.result)


_BLANK: dict[str, Any] = {
    "s_attempt": 0,
    "s_result": None,
    "s_provider": None,
    "s_version": None,
    "s_cache_key": None,
    "s_reused_from": None,
    "s_cost": 0.0,
    "s_error_class": None,
    "s_error": None,
    "s_executions": 0,
    "s_elapsed_ms": 0,
}


def _upsert(database: Database, connection: Connection, holder: Holder, job: JobRecord, values: dict[str, Any]) -> None:
    whose = {"s_job": job.id, "s_tenant": job.tenant, "s_worker": holder.owner, "s_run": job.run}
    statements.stage_upsert(is_sqlite=database.is_sqlite).run(connection, _BLANK | whose | values)

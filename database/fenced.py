"""The writes of a worker: each carries the fence, and none of a stale worker's gets through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from artifacts import Artifact
from database import statements
from database.engine import Database, now_ms
from database.prepared import Prepared
from database.records import Begun, Checkpoint, Failure, Holder, JobRecord, NotBegun
from database.tables import ArtifactUse, Job, Stage, StoredArtifact
from errors import DatabaseUnavailable, Fenced
from states import ENDED, JobStatus, StageStatus

WAITING_FOR = 256  # characters that jobs.waiting_for holds


@dataclass(slots=True)
class FencedWrites:
    """The fenced writes against one database."""

    database: Database
    quarantine_crashes: int = 3
    _is_sqlite: bool = field(init=False)
    _unsure: set[tuple[Holder, str, str]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._is_sqlite = self.database.is_sqlite

    def begin(self, holder: Holder, *, expired: int) -> Begun | NotBegun:
        """Install the fence and take the job, or say why not. `expired` is the token whose lease ran out (0: none)."""
        with self.database.write() as connection:
            row = statements.BEGIN.run(
                connection,
                {"b_id": holder.job_id, "b_token": holder.token, "b_owner": holder.owner, "b_expired": expired},
            ).fetchone()
            if row is None:
                return self._why_not(connection, holder)
            job = _record(holder.job_id, row)
            # Counted here and decided here, since Redis may be rewound and forget.
            if self.quarantine_crashes and job.crashes >= self.quarantine_crashes:
                self._quarantine(connection, holder, job)
                return NotBegun("quarantined", JobStatus.QUARANTINED)
            self._event(connection, holder, "processing", JobStatus.PROCESSING)
            return Begun(job)

    def checkpoint(self, holder: Holder, job: JobRecord, done: Checkpoint) -> None:
        """Commit one finished stage or item; the job goes on."""
        with self._reply_may_be_lost(holder, done), self.database.write() as connection:
            if (holder, done.stage, done.item) in self._unsure and self._is_written(connection, holder, done):
                return
            self._guard(
                connection,
                holder,
                statements.ADVANCE,
                {"b_stage": done.stage, "b_progress": done.progress, "b_cost": done.cost_usd},
            )
            self._write_stage(connection, holder, job, done)
            self._event(connection, holder, "stage_completed", JobStatus.PROCESSING, done.stage, _item(done.item))

    def complete(self, holder: Holder, job: JobRecord, last: Checkpoint | None, result: Any) -> None:
        """The terminal commit of a job that succeeded, together with its last stage."""
        with self.database.write() as connection:
            if not self._guard(
                connection,
                holder,
                statements.END,
                {
                    "b_status": JobStatus.COMPLETED,
                    "b_stage": last.stage if last else None,
                    "b_progress": 100.0,
                    "b_result": result,
                    "b_cost": last.cost_usd if last else 0.0,
                },
                wanted=JobStatus.COMPLETED,
            ):
                return
            if last:
                self._write_stage(connection, holder, job, last)
            self._event(connection, holder, "completed", JobStatus.COMPLETED, last.stage if last else None)

    def fail(self, holder: Holder, job: JobRecord, failure: Failure) -> None:
        """The terminal commit of a job that cannot succeed."""
        with self.database.write() as connection:
            if not self._guard(
                connection,
                holder,
                statements.FAIL,
                _failure_parameters(failure)
                | {
                    "b_status": JobStatus.FAILED,
                    "b_progress": 0.0,
                    "b_result": None,
                    "b_cost": 0.0,
                    "b_log_tail": failure.log_tail,
                },
                wanted=JobStatus.FAILED,
            ):
                return
            self._write_failure(connection, holder, job, failure)
            self._event(
                connection,
                holder,
                "failed",
                JobStatus.FAILED,
                failure.stage,
                {"error_class": failure.error_class, "error": failure.message, "attempt": failure.attempt},
            )

    def cancelled(self, holder: Holder) -> None:
        """The terminal commit of a job that somebody cancelled while it ran."""
        with self.database.write() as connection:
            if not self._guard(
                connection,
                holder,
                statements.END,
                {"b_status": JobStatus.CANCELLED, "b_stage": None, "b_progress": 0.0, "b_result": None, "b_cost": 0.0},
                wanted=JobStatus.CANCELLED,
            ):
                return
            self._event(connection, holder, "cancelled", JobStatus.CANCELLED)

    def retry_later(self, holder: Holder, job: JobRecord, failure: Failure, *, delay_seconds: float) -> None:
        """Record a failed try and let the job wait for the next one; the only write that raises `attempt`."""
        with self.database.write() as connection:
            if not self._guard(
                connection,
                holder,
                statements.RETRY,
                _failure_parameters(failure)
                | {
                    "b_status": JobStatus.WAITING,
                    "b_queue": job.queue,
                    "b_delay_ms": int(delay_seconds * 1000),
                    "b_waiting_for": "retry",
                },
                wanted=JobStatus.WAITING,
            ):
                return
            self._write_failure(connection, holder, job, failure)
            self._event(
                connection,
                holder,
                "retry_scheduled",
                JobStatus.WAITING,
                failure.stage,
                {
                    "error_class": failure.error_class,
                    "error": failure.message,
                    "attempt": failure.attempt,
                    "delay_seconds": delay_seconds,
                },
            )

    def release(
        self,
        holder: Holder,
        job: JobRecord,
        *,
        reason: str,
        queue: str | None = None,
        delay_seconds: float = 0.0,
    ) -> None:
        """Give the job back unfinished: to the front of its queue, to another queue, or to wait. Burns nothing."""
        status = JobStatus.WAITING if delay_seconds > 0 else JobStatus.PENDING
        with self.database.write() as connection:
            if not self._guard(
                connection,
                holder,
                statements.RELEASE,
                {
                    "b_status": status,
                    "b_queue": queue or job.queue,
                    "b_delay_ms": int(delay_seconds * 1000),
                    "b_waiting_for": reason[:WAITING_FOR] if delay_seconds > 0 else None,
                },
                wanted=status,
            ):
                return
            data = {"reason": reason, "queue": queue} if queue else {"reason": reason}
            self._event(connection, holder, "handed_over" if queue else "requeued", status, data=data)

    def keep_providers(self, holder: Holder, providers: dict[str, str]) -> None:
        """Keep which provider each capability got, so that another host makes the same film."""
        with self.database.write() as connection:
            self._guard(connection, holder, statements.PROVIDERS, {"b_providers": providers})

    def still_mine(self, holder: Holder) -> bool:
        """Whether SQL says that this holder owns the job (asked when Redis lost the lease)."""
        with self.database.read() as connection:
            row = _look(connection, holder.job_id)
        return row is not None and row.fence == holder.token and bool(row.in_flight)

    @contextmanager
    def _reply_may_be_lost(self, holder: Holder, done: Checkpoint) -> Iterator[None]:
        """A commit whose reply was lost may have been done: the next try of this checkpoint looks first."""
        try:
            yield
        except DatabaseUnavailable:
            self._unsure.add((holder, done.stage, done.item))
            raise
        self._unsure.discard((holder, done.stage, done.item))

    def _is_written(self, connection: Connection, holder: Holder, done: Checkpoint) -> bool:
        key = (Stage.job_id == holder.job_id, Stage.stage == done.stage, Stage.item == done.item)
        row = connection.execute(select(Stage.status, Stage.worker_id, Stage.result).where(*key)).one_or_none()
        return row is not None and tuple(row) == (StageStatus.COMPLETED, holder.owner, done.result)

    def _why_not(self, connection: Connection, holder: Holder) -> Begun | NotBegun:
        row = _look(connection, holder.job_id)
        if row is None:
            return NotBegun("gone")
        if row.status in ENDED:
            return NotBegun("ended", row.status)
        if row.fence == holder.token and row.owner == holder.owner and row.in_flight:
            return Begun(self._read(connection, holder.job_id))  # begun before; the reply was lost
        if row.fence >= holder.token:
            return NotBegun("stale", row.status, floor=row.fence)
        if row.cancel_requested:
            statements.CANCELLED.run(connection, {"b_id": holder.job_id, "b_token": holder.token})
            self._event(connection, holder, "cancelled", JobStatus.CANCELLED)
            return NotBegun("cancelled", JobStatus.CANCELLED)
        return NotBegun("not_due", row.status, wait_ms=max(1, row.wait_ms or 1))

    def _read(self, connection: Connection, job_id: str) -> JobRecord:
        columns = [getattr(Job, name) for name in JobRecord.__slots__]
        return JobRecord(*connection.execute(select(*columns).where(Job.id == job_id)).one())

    def _guard(
        self,
        connection: Connection,
        holder: Holder,
        statement: Prepared,
        values: dict[str, Any],
        *,
        wanted: str | None = None,
    ) -> bool:
        """Run a fenced UPDATE; False when this very write was done before and its reply was lost: write no more."""
        parameters = values | {"b_id": holder.job_id, "b_token": holder.token}
        if statement.run(connection, parameters).rowcount:
            return True
        row = _look(connection, holder.job_id)
        mine = row is not None and row.fence == holder.token and row.owner == holder.owner
        if mine and wanted is not None and row is not None and row.status == wanted:
            return False
        raise Fenced

    def _quarantine(self, connection: Connection, holder: Holder, job: JobRecord) -> None:
        message = (
            f"this job's worker died {job.crashes} times while running it; a person must look before it runs again"
        )
        failure = Failure("", "", job.attempt, "Quarantined", message)
        parameters = _failure_parameters(failure) | {
            "b_status": JobStatus.QUARANTINED,
            "b_stage": None,
            "b_progress": 0.0,
            "b_result": None,
            "b_cost": 0.0,
            "b_log_tail": "",
        }
        self._guard(connection, holder, statements.FAIL, parameters)
        self._event(connection, holder, "quarantined", JobStatus.QUARANTINED, data={"crashes": job.crashes})

    def _write_stage(self, connection: Connection, holder: Holder, job: JobRecord, done: Checkpoint) -> None:
        if done.commit:
            done.commit(connection)
        for artifact in done.artifacts:
            keep_artifact(self.database, connection, artifact, tenant=job.tenant, job_id=job.id)
        statements.stage_upsert(is_sqlite=self._is_sqlite).run(
            connection,
            {
                "s_job": job.id,
                "s_stage": done.stage,
                "s_item": done.item,
                "s_status": StageStatus.COMPLETED,
                "s_attempt": 0,
                "s_result": done.result,
                "s_provider": done.provider,
                "s_version": done.version,
                "s_tenant": job.tenant,
                "s_cache_key": done.cache_key,
                "s_reused_from": done.reused_from,
                "s_cost": done.cost_usd,
                "s_error_class": None,
                "s_error": None,
                "s_worker": holder.owner,
                "s_run": job.run,
                "s_executions": 0 if done.reused_from else 1,
                "s_elapsed_ms": int(done.seconds * 1000),
            },
        )

    def _write_failure(self, connection: Connection, holder: Holder, job: JobRecord, failure: Failure) -> None:
        if not failure.stage:
            return
        statements.stage_upsert(is_sqlite=self._is_sqlite).run(
            connection,
            {
                "s_job": job.id,
                "s_stage": failure.stage,
                "s_item": failure.item,
                "s_status": StageStatus.FAILED,
                "s_attempt": failure.attempt,
                "s_result": None,
                "s_provider": None,
                "s_version": None,
                "s_tenant": job.tenant,
                "s_cache_key": None,
                "s_reused_from": None,
                "s_cost": 0.0,
                "s_error_class": failure.error_class,
                "s_error": failure.message,
                "s_worker": holder.owner,
                "s_run": job.run,
                "s_executions": 0,
                "s_elapsed_ms": 0,
            },
        )

    def _event(
        self,
        connection: Connection,
        holder: Holder,
        kind: str,
        status: str,
        stage: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        write_event(connection, holder.job_id, kind, status=status, stage=stage, worker_id=holder.owner, data=data)


class _Look(NamedTuple):
    status: str
    fence: int
    owner: str | None
    in_flight: bool
    cancel_requested: bool
    wait_ms: int | None


def _look(connection: Connection, job_id: str) -> _Look | None:
    row = statements.LOOK.run(connection, {"b_id": job_id}).fetchone()
    return _Look(*row) if row else None


def _record(job_id: str, row: Any) -> JobRecord:
    """The columns that BEGIN returns; SQLite's driver leaves JSON as text."""
    values = list(row)
    for place in (3, 4, 5):  # payload, options, providers
        if isinstance(values[place], str):
            values[place] = orjson.loads(values[place])
    return JobRecord(job_id, *values)


def write_event(
    connection: Connection,
    job_id: str,
    kind: str,
    *,
    status: str,
    stage: str | None = None,
    worker_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """One row of `events`, in the commit of the change it tells of."""
    statements.EVENT.run(
        connection,
        {"e_job": job_id, "e_kind": kind, "e_status": status, "e_stage": stage, "e_worker": worker_id, "e_data": data},
    )


def keep_artifact(database: Database, connection: Connection, artifact: Artifact, *, tenant: str, job_id: str) -> None:
    """Record a stored file and that this job uses it, in the commit that refers to it."""
    make = statements.dialect_insert(database)
    stored = make(StoredArtifact).values(
        sha256=artifact.sha256,
        size=artifact.size,
        media_type=artifact.media_type,
        name=artifact.name,
        created_ms=now_ms(),
    )
    connection.execute(stored.on_conflict_do_update(index_elements=["sha256"], set_={"marked_ms": None}))
    use = make(ArtifactUse).values(tenant=tenant, sha256=artifact.sha256, job_id=job_id, touched_ms=now_ms())
    connection.execute(
        use.on_conflict_do_update(
            index_elements=["tenant", "sha256", "job_id"], set_={"touched_ms": use.excluded.touched_ms}
        )
    )


def _failure_parameters(failure: Failure) -> dict[str, Any]:
    return {
        "b_stage": failure.stage or None,
        "b_attempt": failure.attempt,
        "b_error_class": failure.error_class,
        "b_error": failure.message,
        "b_detail": failure.detail,
    }


def _item(item: str) -> dict[str, Any] | None:
    return {"item": item} if item else None
